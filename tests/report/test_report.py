"""What the report says, without a browser."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from PIL import Image

from selma_core.report import write_report
from selma_core.report.figures import axis_cell, axis_of, interval_cell
from selma_core.report.pictures import data_uri
from selma_core.report.verdicts import outcome
from selma_core.result import Run


def text_of(path: Path) -> str:
    """What a reader sees: tags and styles removed, blanks joined."""
    source = re.sub(r"<(style|svg|script).*?</\1>", " ", path.read_text(encoding="utf-8"), flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", source)).split())


@pytest.fixture
def text(demo_report: Path) -> str:
    return text_of(demo_report)


def test_says_what_ran(text: str) -> None:
    assert "shapes SELMA end to end on the bundled world" in text
    assert "20261122-104500-ab12" in text
    assert "7 min 3 s" in text
    assert "22 ran, 1 reused" in text


def test_a_search_shows_its_trace(text: str, demo_report: Path) -> None:
    assert "4 measurements, 80 images drawn (96 without racing), equal weights 0.610, best 0.660" in text
    assert "weights found: ffffffffffff 0.70, eeeeeeeeeeee 0.41" in text
    section = demo_report.read_text(encoding="utf-8").split('id="search"')[1].split("</section>")[0]
    value, best = re.findall(r'<polyline class="(?:train|smooth)" points="([^"]+)"', section)
    # The measurement on a part of the prompts is not on the line of those on all of them.
    assert (len(value.split()), len(best.split())) == (3, 4)


def test_verdicts_in_plain_words(text: str) -> None:
    assert "Headline metric: dsg , declared by the recipe" in text
    assert "single run" in text
    assert re.search(r"merged beats base \+\d+\.\d points", text)
    assert "merged beats the mean of experts" in text
    assert "Undecided: expert_general against joint" in text
    assert re.search(r"95 % interval \+\d+\.\d to \+\d+\.\d; p < 0\.001", text)


@pytest.mark.parametrize(
    ("low", "high", "p", "expected"),
    [
        (1.0, 3.0, 0.001, "beats"),
        (-3.0, -1.0, 0.001, "loses to"),
        (-1.0, 3.0, 0.001, "undecided"),
        (1.0, 3.0, 0.2, "undecided"),
        (0.0, 3.0, 0.01, "undecided"),
    ],
)
def test_a_verdict_needs_interval_and_p(low: float, high: float, p: float, expected: str) -> None:
    row = {"difference": (low + high) / 2, "low": low, "high": high, "p": 0.0001, "p_holm": p}
    row["higher_is_better"] = True
    assert outcome(row) == expected


def test_lower_may_be_better() -> None:
    row = {"difference": -2.0, "low": -3.0, "high": -1.0, "p": 0.001}
    found = [outcome({**row, "higher_is_better": higher}) for higher in (True, False)]
    assert found == ["loses to", "beats"]


def test_scores_name_judge_rule_and_subset(text: str, demo_run: Run) -> None:
    assert "rule official" in text
    assert "judge shapes_oracle" in text
    assert "stage bench: benchmark_prompts (benchmark=shapes, per_group=24)" in text
    entry = demo_run.result["scores"]["merged"]["dsg"]
    numbers = f"{entry['mean']:.1f} {entry['low']:.1f} to {entry['high']:.1f}"
    assert re.search(rf"merged {numbers} \+\d+\.\d \+\d+\.\d to \+\d+\.\d < 0\.001 72 144 100\.0 %", text)


def gallery(path: Path) -> Any:
    found = re.search(r'<script type="application/json" id="gallery-data">(.*?)</script>', path.read_text("utf-8"))
    assert found is not None
    return json.loads(found[1])


def test_images_carry_their_own_score_and_what_failed(demo_report: Path, demo_run: Run) -> None:
    data = gallery(demo_report)
    names = [variant["n"] for variant in data["variants"]]
    assert names == list(demo_run.summaries)
    row = data["rows"][0]
    scores = {name: cell[1] for name, cell in zip(names, row["c"], strict=True)}
    first = {v: 100 * s["dsg"].prompts[0].per_image[0] for v, s in demo_run.summaries.items()}
    assert scores == pytest.approx(first, abs=0.001)
    for cell, score in zip(row["c"], scores.values(), strict=True):
        assert (len(cell[2]) == 0) == (score == 100)
        assert cell[3] == 4
    assert row["q"] == ["Is it?"]


def test_images_come_from_all_groups_and_samples(demo_report: Path, text: str) -> None:
    rows = gallery(demo_report)["rows"]
    assert [row["g"] for row in rows[:12]] == ["paragraph", "count", "general"] * 4
    assert [row["k"] for row in rows] == [0] * 72 + [1] * 72
    assert "Shown: 864 of 864 images" in text


def test_without_a_script_the_first_dozen_is_there(demo_report: Path) -> None:
    plain = demo_report.read_text(encoding="utf-8").split("<noscript>")[1].split("</noscript>")[0]
    assert plain.count('<article class="card strip">') == 12
    assert plain.count("<img ") == 12 * 6
    assert "&lt;script&gt;document.title" in plain


def test_prompts_and_what_was_rejected(text: str) -> None:
    assert "count 40 kept 18 rejected" in text
    assert "rouge : 17" in text
    assert "vocabulary : 1" in text
    assert "(unknown: script)" in text


def test_curves_warnings_and_time(text: str) -> None:
    assert re.search(r"expert\[count\] training 0\.\d{4} → 0\.\d{4}, held-out 0\.2000 → 0\.\d{4}", text)
    assert "score[base] : 3 of 1344 answers are neither yes nor no; they score 0" in text
    assert re.search(r"merge reused 0\.0 12\.5 – merge_strategy/search [0-9a-f]{12}", text)


def test_command_and_versions(text: str) -> None:
    assert "selma run shapes -o stages.merge.use=linear" in text
    assert re.search(r"torch \d+\.\d+", text)


def test_secrets_stay_out(demo_report: Path) -> None:
    source = demo_report.read_text(encoding="utf-8")
    assert "sk-very-secret" not in source
    assert "api_key: &#39;***&#39;" in source


def test_a_run_that_failed_is_still_reported(make_run: Callable[..., Run], tmp_path: Path) -> None:
    run = make_run()
    nodes = [
        attrs.evolve(node, outcome="failed", artifact=None, error="disk <full>")
        if node.label in ("merge", "score")
        else node
        for node in run.nodes
    ]
    failed = attrs.evolve(run, nodes=tuple(nodes), summaries={}, result={"scores": {}, "comparisons": []})
    text = text_of(write_report(failed, tmp_path / "report.html"))
    assert "7 of 23 stages failed." in text
    assert "merge : disk <full>" in text
    assert "No comparison: there are no scores." in text
    assert "Asked for and not possible: merged against base" in text
    assert "expert[count]" in text


def test_one_failed_variant_costs_only_itself(make_run: Callable[..., Run], tmp_path: Path) -> None:
    run = make_run()
    summaries = {name: found for name, found in run.summaries.items() if name != "joint"}
    rest = {**run.result, "comparisons": [r for r in run.result["comparisons"] if r["baseline"] != "joint"]}
    text = text_of(write_report(attrs.evolve(run, summaries=summaries, result=rest), tmp_path / "report.html"))
    assert "merged beats base" in text
    assert "Asked for and not possible: merged against joint; expert_general against joint" in text


def test_an_empty_run_is_still_reported(make_run: Callable[..., Run], tmp_path: Path) -> None:
    run = make_run()
    bare = attrs.evolve(run, nodes=(), summaries={}, result={}, recipe=attrs.evolve(run.recipe, data={}, origins={}))
    assert "there are no scores" in text_of(write_report(bare, tmp_path / "report.html"))


def test_unreadable_artifacts_become_notes(make_run: Callable[..., Run], tmp_path: Path) -> None:
    run = make_run()
    images = next(node for node in run.nodes if node.id == "sample[base]")
    assert images.artifact is not None
    for path in images.artifact.glob("*-0.png"):
        path.write_bytes(b"no image")
    curve = next(node for node in run.nodes if node.id == "expert[count]")
    assert curve.artifact is not None
    (curve.artifact / "curve.jsonl").write_text("{broken")
    text = text_of(write_report(run, tmp_path / "report.html"))
    assert "loss curve of expert[count] cannot be shown" in text
    assert "cannot be shown: cannot identify image file" in text
    assert "expert[general]" in text


@pytest.mark.parametrize(("size", "kind", "shown"), [(64, "png", 64), (96, "png", 96), (512, "jpeg", 192)])
def test_large_images_become_thumbnails(tmp_path: Path, size: int, kind: str, shown: int) -> None:
    import base64
    import io

    Image.effect_noise((size, size), 60).convert("RGB").save(tmp_path / "a.png")
    uri, raw = data_uri(tmp_path / "a.png")
    assert uri.startswith(f"data:image/{kind};base64,")
    assert raw is (kind == "png")
    assert Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).size == (shown, shown)
    assert len(uri) < 200_000


def test_nothing_outside_is_mentioned(demo_report: Path) -> None:
    source = demo_report.read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", source)
    assert not re.findall(r"url\(|@import|<iframe|<link rel=.stylesheet", source)
    assert re.findall(r"<script[^>]*>", source) == [
        '<script type="application/json" id="gallery-data">',
        '<script type="application/json" id="gallery-store">',
        "<script>",
    ]
    assert "default-src 'none'" in source


@pytest.mark.parametrize("values", [[50.0], [0.0, 0.0], [-1.0, 1e-9, 3.0]])
def test_figures_survive_odd_values(values: list[float]) -> None:
    axis = axis_of([*values, None], values[0])
    for figure in (axis_cell(axis), *(interval_cell(axis, value, value, value, 0, values) for value in values)):
        assert "nan" not in figure
        assert all(0 <= float(x) <= 170 for x in re.findall(r' (?:cx|x|x1|x2)="([^"]+)"', figure))


def test_two_judges_of_one_metric(make_run: Callable[..., Run], tmp_path: Path) -> None:
    """A second evaluator stage of the same metric goes by metric and label; each has its own judge and interval."""
    run = make_run()
    other = {
        variant: {**found, "dsg:second": attrs.evolve(found["dsg"], judge="another judge")}
        for variant, found in run.summaries.items()
    }
    entries = {v: {**s, "dsg:second": {**s["dsg"], "low": 12.3, "high": 98.7}} for v, s in run.result["scores"].items()}
    both = attrs.evolve(run, summaries=other, result={**run.result, "scores": entries})
    both.recipe.data["report"] = {**both.recipe.data["report"], "scores": ["score", "second"]}
    text = text_of(write_report(both, tmp_path / "report.html"))
    assert "dsg:second rule official judge another judge" in text
    assert "12.3 to 98.7" in text
    assert "The same prompt and the same seed for every variant" in text


def test_a_headline_that_nobody_declared_is_not_called_declared(make_run: Callable[..., Run], tmp_path: Path) -> None:
    run = make_run()
    run.recipe.data["report"] = {key: value for key, value in run.recipe.data["report"].items() if key != "headline"}
    text = text_of(write_report(run, tmp_path / "report.html"))
    assert "Headline metric: dsg . Each comparison" in text

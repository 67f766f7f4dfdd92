"""Fifty variants and five thousand images: one file of at most 20 MB, whatever the images are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import attrs
import pytest
from PIL import Image

from selma_core.config.recipe import Recipe
from selma_core.data import ImageItem, Prompt, PromptScore, Summary
from selma_core.report import write_report
from selma_core.report.write import LIMIT
from selma_core.result import NodeResult, Run
from tests.report.conftest import INJECTION
from tests.report.test_report import gallery, text_of
from tests.report.test_report_browser import DESKTOP, Visit, browser

__all__ = ["browser"]  # a fixture: pytest finds it by name

VARIANTS = [f"variant_{i:02d}" for i in range(50)]
PROMPTS = [Prompt(id=f"p{i:03d}", text=f"a crowded street, no. {i}", skill="street") for i in range(100)]


def noise(path: Path, size: int) -> Path:
    """Photographic noise: what compresses worst."""
    soft = Image.effect_noise((size // 4, size // 4), 90).resize((size, size), Image.Resampling.BICUBIC)
    Image.merge("RGB", [Image.blend(soft, Image.effect_noise((size, size), 60), 0.3) for _ in "rgb"]).save(path)
    return path


@attrs.frozen(kw_only=True)
class Large(Run):
    """A run whose images are a few files under many names, so that the test makes few and the report packs all."""

    files: tuple[Path, ...] = ()
    drawn: int = len(PROMPTS)

    def images(self, node_id: str, /) -> tuple[ImageItem, ...]:
        which = [node.id for node in self.nodes].index(node_id)
        return tuple(
            ImageItem(
                item_id=f"{prompt.id}-0",
                prompt=prompt,
                path=self.files[(which + i) % len(self.files)],
                sha256=f"{node_id} {prompt.id}",
                k=0,
                seed=i,
            )
            for i, prompt in enumerate(PROMPTS[: self.drawn])
        )


def node(label: str, kind: str, variant: str, folder: Path, reads: tuple[str, ...]) -> NodeResult:
    name = f"{label}[{variant}]"
    return NodeResult(
        id=name, label=label, kind=kind, plugin="any", fingerprint=name, outcome="ran", seconds=1.0,
        artifact=folder, axes={"variant": variant}, reads=reads,
    )  # fmt: skip


def large(folder: Path, files: tuple[Path, ...]) -> Large:
    stages = ["images", "expert", "merge", "a", "b", "c", "d", "sample", "score"]
    kinds = {"sample": "image_generator", "score": "evaluator"}
    nodes = [
        node(label, kinds.get(label, "selector"), variant, folder, (f"{above}[{variant}]",) if above else ())
        for variant in VARIANTS
        for above, label in zip([None, *stages], stages, strict=False)
    ]
    scores = tuple(PromptScore(prompt_id=p.id, value=0.5, per_image=(0.5,), groups=("street",)) for p in PROMPTS)
    summaries = {
        name: {"dsg": Summary(metric="dsg", rule="official", judge="x", mean=50.0 + i / 7, prompts=scores)}
        for i, name in enumerate(VARIANTS)
    }
    numbers = {"difference": 1.0, "low": 0.5, "high": 1.5, "p": 0.001, "p_holm": 0.01, "higher_is_better": True}
    rows = [{"variant": name, "baseline": VARIANTS[0], "metric": "dsg", **numbers} for name in VARIANTS[1:]]
    data = {"report": {"baseline": VARIANTS[0], "headline": "dsg"}, "stages": {"score": {"from": {"images": "sample"}}}}
    return Large(
        run_id="large", recipe=Recipe(name="large", path=None, data=data, origins={}), nodes=tuple(nodes),
        store=folder, report=None, result={"comparisons": rows}, summaries=summaries, files=files,
    )  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    # Some at full size, as drawn by a real model; the others small, to be quick.
    files = tuple(noise(folder / f"{i}.png", 512 if i == 0 else 112) for i in range(20))
    return write_report(large(folder, files), folder / "report.html")


def test_five_thousand_images_fit(report: Path) -> None:
    assert report.stat().st_size <= LIMIT == 20_000_000
    data = gallery(report)
    assert len(data["variants"]) == 50
    cells = sum(cell is not None for row in data["rows"] for cell in row["c"])
    assert f"Shown: {cells} of 5000 images" in text_of(report)
    assert cells >= 1000
    assert report.stat().st_size > 10_000_000  # the room is used


def test_every_prompt_that_is_shown_has_all_its_variants(report: Path) -> None:
    assert all(None not in row["c"] for row in gallery(report)["rows"])


@pytest.mark.parametrize("limit", [400_000, 1_500_000])
def test_a_small_limit_holds_too(tmp_path: Path, limit: int) -> None:
    run = large(tmp_path, (noise(tmp_path / "a.png", 160),))
    path = write_report(run, tmp_path / "report.html", limit=limit)
    assert path.stat().st_size <= limit
    assert re.search(r"is left out: it would take too much|Shown: \d+ of 5000 images", text_of(path))


def test_fifty_variants_are_tabled_not_carded(report: Path) -> None:
    text = text_of(report)
    assert "49 better 0 worse 0 undecided of 49 comparisons" in text
    assert "sample (image_generator): 50 ran; reads d" in text
    assert report.read_text(encoding="utf-8").count('<article class="card verdict') == 0


def test_claims_in_words_and_signs(tmp_path: Path) -> None:
    run = attrs.evolve(large(tmp_path, (noise(tmp_path / "a.png", 64),)), drawn=2)
    numbers = {"difference": 1.0, "low": -0.5, "high": 1.5, "p": 0.2, "p_holm": 0.4, "margin": 2.0, "n": 100, "runs": 3}
    evidence = [{"variant": VARIANTS[1], "baseline": VARIANTS[0], **numbers}]
    verdicts = ("supported", "not supported", "undecided")
    claims = [
        {"claim": f"{INJECTION} {verdict}", "source": "Table 2", "metric": "dsg", "verdict": verdict}
        for verdict in verdicts
    ]
    claims[0]["comparisons"] = evidence  # type: ignore[assignment]  # one of the values is a list
    scores = {VARIANTS[1]: {"dsg": {"runs": 3, "per_seed": {"0": 49.0, "1": 52.5, "2": 50.0}, "low": 45, "high": 55}}}
    told = attrs.evolve(run, result={**run.result, "claims": claims, "scores": scores})
    path = write_report(told, tmp_path / "report.html")
    text, source = text_of(path), path.read_text(encoding="utf-8")
    for sign, verdict in zip("✓✗?", verdicts, strict=True):
        assert re.search(rf"{re.escape(sign)} {verdict} <script>", text)
    assert "margin 2" in text
    assert "3 training seeds" in text
    assert "3 49.0 , 52.5 , 50.0" in text
    assert source.count('class="seed"') == 3
    assert "<script>document.title" not in source


def test_hostile_data_ends_no_script(tmp_path: Path) -> None:
    run = attrs.evolve(large(tmp_path, (noise(tmp_path / "a.png", 64),)), drawn=2)
    names = {f"</script>{INJECTION}<!--": name for name in VARIANTS[:2]}
    nodes = [attrs.evolve(n, axes={"variant": new}) for new, old in names.items() for n in run.nodes if old in n.id]
    summaries = {new: run.summaries[old] for new, old in names.items()}
    source = write_report(attrs.evolve(run, nodes=tuple(nodes), summaries=summaries), tmp_path / "r.html").read_text(
        "utf-8"
    )
    inside: Any = json.loads(source.split('id="gallery-data">')[1].split("</script>")[0])
    assert [variant["n"] for variant in inside["variants"]] == list(names)
    assert source.count("<script") == source.count("</script>") == 3


def test_the_large_report_is_quick_to_use(browser: Any, report: Path) -> None:
    visit = Visit(browser, report, DESKTOP)
    assert visit.js("document.querySelectorAll('.variants tbody tr').length") == 50
    assert visit.js("document.images.length") == 0
    visit.js("document.getElementById('gallery').scrollIntoView({behavior: 'instant'})")
    visit.page.wait_for_selector("#gallery img")
    assert visit.js("document.images.length") < 100
    assert visit.messages == []
    visit.page.close()

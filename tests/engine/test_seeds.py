"""Training seeds as a level of an ablation, several measured variants, claims, and an ablation that is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import selma_core
from selma_core.ablation import open_ablation
from selma_core.errors import ConfigError, UserError
from selma_core.events import Scored
from tests.engine.kit import Call, write_recipe
from tests.engine.test_ablation import ABLATION

RECIPE_ROWS = {"base", "expert_count", "expert_general", "merged"}
AS_IS: dict[str, Any] = {
    "recipe": "selma.yaml",
    "metric": "light",
    "measure": ["base", "merged"],
    "baseline": "base",
    "seeds": 2,
    "claims": [
        {"claim": "merging helps", "source": "a table", "better": "merged", "than": "base"},
        {"claim": "merging does no great harm", "better": "merged", "than": ["base"], "margin": -1000},
        {"claim": "merging works wonders", "better": "merged", "than": ["base"], "margin": 1000},
    ],
}


@pytest.fixture
def file(folder: Path) -> Path:
    write_recipe(folder / "both.yaml", AS_IS)
    return folder / "both.yaml"


def test_seeds_replicate_the_recipe_and_share_what_no_seed_changes(
    file: Path, folder: Path, log: Callable[[], list[str]]
) -> None:
    heard: list[Scored] = []
    done = selma_core.ablate(
        file, store=folder / "store", on_event=lambda e: heard.append(e) if isinstance(e, Scored) else None
    )
    result = done.result
    assert (done.ok, result["seeds"], list(result["scores"])) == (True, [0, 1], ["base", "merged"])
    for row in ("base", "merged"):
        score = result["scores"][row]["light"]
        assert (score["runs"], list(score["per_seed"])) == (2, ["0", "1"])
        assert score["mean"] == pytest.approx(sum(score["per_seed"].values()) / 2)
        assert score["low"] <= score["mean"] <= score["high"]
    assert {"base,seed=0", "merged,seed=1"} <= {event.variant for event in heard}
    assert [(r["variant"], r["baseline"], r["runs"]) for r in result["comparisons"]] == [("merged", "base", 2)]
    log()
    # Each seed is what the recipe gives with it.
    for seed in (0, 1):
        alone = selma_core.run(
            folder / "selma.yaml", [f"seed={seed}"], store=folder / "store", until=["score[base]", "score[merged]"]
        )
        assert {node.outcome for node in alone.nodes} == {"reused"}
        for row in ("base", "merged"):
            assert result["scores"][row]["light"]["per_seed"][str(seed)] == alone.result["scores"][row]["light"]["mean"]
    assert log() == []


def test_one_more_seed_or_variant_runs_only_its_own_stages(
    file: Path, folder: Path, log: Callable[[], list[str]]
) -> None:
    selma_core.ablate(file, store=folder / "store")
    log()
    plan = open_ablation(file, store=folder / "store", seeds=(0, 1, 2)).plan
    new = {row.id.partition(":")[0] for row in plan if row.status == "run"}
    assert new == {"seed=2"}
    write_recipe(
        folder / "more.yaml",
        {
            **AS_IS,
            "variants": {"old": [], "new": ["stages.merge.options.scale=4.0"]},
            "baseline": "old/base",
            "claims": [],
        },
    )
    plan = open_ablation(folder / "more.yaml", store=folder / "store").plan
    wanted = {f"new,seed={seed}:{node}" for seed in (0, 1) for node in ("merge", "sample[merged]", "score[merged]")}
    assert {row.id for row in plan if row.status == "run"} == wanted
    done = selma_core.ablate(folder / "more.yaml", store=folder / "store")
    assert {node.id for node in done.nodes if node.outcome == "ran"} == wanted
    assert {line.split()[0] for line in log()} == {"merge", "images", "scores"}
    assert list(done.result["scores"]) == ["old/base", "old/merged", "new/base", "new/merged"]
    assert done.result["scores"]["new/base"]["light"] == done.result["scores"]["old/base"]["light"]


def test_claims_get_verdicts(file: Path, folder: Path) -> None:
    found = selma_core.ablate(file, store=folder / "store").result["claims"]
    assert [claim["verdict"] for claim in found][1:] == ["supported", "not supported"]
    first, second = found[0]["comparisons"][0], found[1]["comparisons"][0]
    assert first["difference"] == second["difference"]
    assert second["p"] < 0.01
    assert (second["margin"], found[0]["source"], found[0]["missing"]) == (-1000, "a table", [])
    assert all(row["p"] <= row["p_holm"] for claim in found for row in claim["comparisons"])


def test_a_claim_on_what_failed_is_undecided(
    file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    monkeypatch.setenv("FAKE_FAIL", "merge")
    code, out, _ = call("ablate", "both.yaml")
    assert code == 1
    assert "merged against base: not measured" in " ".join(out.split())
    monkeypatch.delenv("FAKE_FAIL")
    code, out, _ = call("ablate", "both.yaml")
    assert (code, "not supported" in out, "merging works wonders" in " ".join(out.split())) == (0, True, True)


def test_a_recipe_with_seeds_is_compared_as_its_report_says(call: Call) -> None:
    code, out, _ = call("run", "selma.yaml", "--seeds", "0,5", "--json")
    result = json.loads(out)
    assert (code, result["seeds"], set(result["scores"])) == (0, [0, 5], RECIPE_ROWS)
    assert [(r["variant"], r["baseline"]) for r in result["comparisons"]] == [("merged", "base"), ("merged", "experts")]
    code, out, _ = call(
        *("run", "selma.yaml", "--vary", "stages.merge.options.scale=1.0,2.0", "--seeds", "2", "--json")
    )
    result = json.loads(out)
    assert (code, set(result["scores"]), result["comparisons"][0]["runs"]) == (0, {"1.0", "2.0"}, 2)


def test_an_ablation_has_a_report_and_says_how_to_repeat_it(file: Path, folder: Path, call: Call) -> None:
    done = selma_core.ablate(file, ["stages.bench.options.n=5"], store=folder / "store", seeds=[3])
    assert done.report is not None
    text = done.report.read_text()
    assert "<dt>Seed</dt><dd>3</dd>" in text
    assert "--seeds 3," in text
    assert f"<h1>{file.stem}</h1>" in text
    assert f"<dd>{done.recipe.name}</dd>" in text
    assert done.command == f"selma ablate {file} --seeds 3, -o stages.bench.options.n=5"
    assert (done.headline, done.report_settings["baseline"]) == ("light", "base")
    node = done.sample_node("merged")
    assert node is not None
    assert (node.id, len(done.images(node.id))) == ("seed=3:sample[merged]", 10)
    scored = done.score_node("base", "light")
    assert scored is not None
    assert done.scores(scored.id).info.name == "light"
    assert done.score_node("nobody", "light") is None
    # What it says does run, and finds everything.
    plan = json.loads(call(*done.command.split()[1:], "--plan", "--json")[1])
    assert {row["status"] for row in plan["stages"]} == {"hit"}


def test_varied_settings_can_be_repeated_from_the_report(call: Call) -> None:
    settings = "stages.images.options.shade=1,2"
    code, out, err = call("run", "light.yaml", "--vary", settings, "--seeds", "2", "--json")
    assert (code, "report: file://" in err) == (0, True)
    assert f"selma run light.yaml --vary={settings} --seeds 0,1" in Path(json.loads(out)["report"]).read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seeds": 0}, "a number of them, like 3"),
        ({"seeds": [1, 1]}, "twice: 1, 1"),
        ({"seeds": "x"}, "'x' is not a whole number"),
        ({"seeds": [0.5]}, "0.5 is not a whole number"),
        ({"measure": ["mergde"]}, "did you mean 'merged'?"),
        ({"measure": "merged"}, "measure: must be a list"),
        ({"variant": "merged"}, "give one of the two"),
        ({"variants": {"a": ["seed=3"]}}, "variant 'a' sets 'seed'"),
        ({"claims": [{"claim": "x", "better": "merged"}]}, r"claims\[0\]: needs 'than'"),
        ({"claims": [{"claim": "x", "better": "merged", "then": "base"}]}, "did you mean 'than'?"),
        ({"claims": [{"claim": "x", "better": "mergd", "than": "base"}]}, "claim 'x': .*did you mean 'merged'?"),
        ({"claims": [{"claim": "x", "better": "merged", "than": "base", "margin": "1"}]}, "not a number of points"),
    ],
)
def test_mistakes(folder: Path, change: dict[str, Any], words: str) -> None:
    write_recipe(folder / "wrong.yaml", {**AS_IS, **change})
    with pytest.raises(UserError, match=words):
        open_ablation(folder / "wrong.yaml", store=folder / "store")


def test_a_seed_is_set_once(file: Path, folder: Path) -> None:
    with pytest.raises(ConfigError, match="type --seeds"):
        open_ablation(file, ["seed=3"], store=folder / "store")


@pytest.mark.slow
def test_killed_five_times_at_random_points_the_table_is_the_same(folder: Path, log: Callable[[], list[str]]) -> None:
    write_recipe(folder / "killed.yaml", {**ABLATION, "seeds": 2})
    whole = selma_core.ablate(folder / "killed.yaml", store=folder / "whole").result
    pieces, chance = len(log()), random.Random(7)
    for _ in range(5):
        assert _ablate(folder, f"any:{chance.randint(1, pieces // 6)}") == -signal.SIGKILL
    assert 0 < len(log()) < pieces
    assert _ablate(folder, "") == 0
    resumed = selma_core.ablate(folder / "killed.yaml", store=folder / "store")
    assert {node.outcome for node in resumed.nodes} == {"reused"}
    for key in ("scores", "comparisons", "seeds", "metric", "baseline"):
        assert resumed.result[key] == whole[key]


def _ablate(folder: Path, stop: str) -> int:
    command = [sys.executable, "-m", "selma_core.cli", "ablate", str(folder / "killed.yaml")]
    done = subprocess.run(
        [*command, "--store", str(folder / "store"), "--json"],
        env={**os.environ, "FAKE_STOP": stop},
        capture_output=True,
        check=False,
    )
    return done.returncode

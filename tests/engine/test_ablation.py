"""Ablations: variants over shared stages, one table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import selma_core
from selma_core.ablation import AblationRun, open_ablation
from selma_core.errors import ConfigError, ConfigErrors, UserError
from tests.engine.kit import write_recipe

ABLATION: dict[str, Any] = {
    "summary": "how large the merge",
    "recipe": "selma.yaml",
    "metric": "light",
    "baseline": "one",
    "variants": {
        "one": [],
        "two": ["stages.merge.options.scale=2.0"],
        "three": {"stages": {"merge": {"options": {"scale": 3.0}}}},
        "same": {"stages.merge.options.scale": 1.0},
    },
}


@pytest.fixture
def file(folder: Path) -> Path:
    write_recipe(folder / "scales.yaml", ABLATION)
    return folder / "scales.yaml"


def test_the_plan_is_a_union(file: Path, folder: Path) -> None:
    plan = open_ablation(file, store=folder / "store").plan
    status = {row.id: row.status for row in plan}
    assert status["one:merge"] == status["two:merge"] == status["three:merge"] == "run"
    changed = {
        f"{variant}:{node}" for variant in ("two", "three") for node in ("merge", "sample[merged]", "score[merged]")
    }
    run = {name for name, found in status.items() if found == "run"}
    assert run == changed | {name for name in status if name.startswith("one:")}
    shared = {row.id: row.shared for row in plan if row.status == "shared"}
    assert shared["same:merge"] == "one:merge"
    assert shared["two:expert[count]"] == "one:expert[count]"


def test_shared_stages_are_made_once_and_variants_compared(
    file: Path, folder: Path, log: Callable[[], list[str]]
) -> None:
    done = selma_core.ablate(file, store=folder / "store")
    assert isinstance(done, AblationRun)
    assert done.ok
    by_id = {node.id: node for node in done.nodes}
    assert {name for node in done.nodes for name in node.reads} <= by_id.keys()
    assert by_id["two:sample[merged]"].reads == ("two:bench", "two:merge")
    work = log()
    assert len([line for line in work if line.startswith("train")]) == 2 * 5
    assert len([line for line in work if line.startswith("merge")]) == 3
    result = done.result
    assert (result["ablation"], result["recipe"], result["metric"]) == ("scales", "selma", "light")
    assert list(result["scores"]) == ["one", "two", "three", "same"]
    assert result["scores"]["same"] == result["scores"]["one"]
    means = {name: metrics["light"]["mean"] for name, metrics in result["scores"].items()}
    assert len({means["one"], means["two"], means["three"]}) == 3
    assert [(row["variant"], row["baseline"]) for row in result["comparisons"]] == [
        *(("two", "one"), ("three", "one"), ("same", "one"))
    ]
    assert result["comparisons"][0]["difference"] == pytest.approx(means["two"] - means["one"])
    outcomes = {node.id: node.outcome for node in done.nodes}
    assert (outcomes["one:merge"], outcomes["same:merge"]) == ("ran", "reused")
    assert (folder / "store" / "runs" / done.run_id / "run.json").is_file()
    # The recipe alone finds all that was measured, and what that needed.
    again = {node.id: node.outcome for node in selma_core.run(folder / "selma.yaml", store=folder / "store").nodes}
    assert all(again[name.removeprefix("one:")] == "reused" for name in outcomes if name.startswith("one:"))


def test_what_no_row_needs_is_not_run(file: Path, folder: Path) -> None:
    opened = open_ablation(file, store=folder / "store")
    sampled = {row.id for row in opened.plan if ":sample[" in row.id}
    assert sampled == {f"{variant}:sample[merged]" for variant in ("one", "two", "three", "same")}
    write_recipe(folder / "both.yaml", {**ABLATION, "baseline": "one/base", "measure": ["base", "merged"]})
    plan = open_ablation(folder / "both.yaml", store=folder / "store").plan
    assert {row.id for row in plan if row.id.startswith("one:sample[")} == {"one:sample[base]", "one:sample[merged]"}


def test_another_variant_of_the_recipe_may_be_measured(file: Path, folder: Path) -> None:
    write_recipe(file, {**ABLATION, "variant": "base"})
    done = selma_core.ablate(file, store=folder / "store")
    assert len({metrics["light"]["mean"] for metrics in done.result["scores"].values()}) == 1


def test_a_failed_variant_leaves_the_others(file: Path, folder: Path) -> None:
    with (folder / "fakes.py").open("a") as plugin:
        plugin.write(
            "\n_merge = Merge.merge_layer\ndef _break(self, job):\n    assert self.options.scale != 2, 'two breaks'\n"
        )
        plugin.write("    return _merge(self, job)\nMerge.merge_layer = _break\n")
    done = selma_core.ablate(file, store=folder / "store")
    assert not done.ok
    assert list(done.result["scores"]) == ["one", "three", "same"]
    assert {node.id for node in done.nodes if node.error} == {"two:merge", "two:sample[merged]", "two:score[merged]"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recpie": "x"}, "did you mean 'recipe'?"),
        ({"recipe": None}, "needs 'recipe'"),
        ({"variants": {}}, "needs 'variants'"),
        ({"variants": {"a": 3}}, "variants.a: must be a list"),
        ({"variants": {"a": ["stages.merge"]}}, "a.b.c=value"),
        ({"baseline": "tow"}, "did you mean 'two'?"),
        ({"variant": "mergd"}, "did you mean 'merged'?"),
        ({"variants": {"a": ["stages.merge.use=fake_mrege"]}, "baseline": "a"}, "did you mean 'fake_merge'?"),
    ],
)
def test_mistakes(file: Path, folder: Path, change: dict[str, Any], words: str) -> None:
    write_recipe(file, {**ABLATION, **change})
    with pytest.raises((ConfigError, ConfigErrors, UserError)) as caught:
        selma_core.ablate(file, store=folder / "store")
    assert words in str(caught.value)
    assert not (folder / "store").exists()

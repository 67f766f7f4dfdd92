"""Every ablation of the shapes world executes, end to end, with next to nothing to do."""

from __future__ import annotations

from pathlib import Path

import pytest

import selma_core

pytestmark = pytest.mark.slow

TINY = [
    "runtime.executor={use: inline, options: {}}",
    "stages.prompts.options.n=2",
    "stages.images.options.k=1",
    "stages.images.options.steps=2",
    "stages.select.options.threshold=null",  # nothing is right after two steps
    "stages.expert.options.steps=2",
    "stages.expert.options.batch_size=2",
    "stages.bench.options.per_group=1",
    "stages.sample.options.steps=2",
]
TWO = ["axes.skill=[count, general]"]
JOINT = [
    "stages.joint.options.steps=2",
    "stages.joint.options.batch_size=2",
    "axes.joined.5_long.joint.options.steps=4",
]
MORE = {
    "selma_table2": JOINT,
    "selma_gt_vs_auto": ["stages.texts.options.n=2"],
    "selma_llm": ["stages.texts.options.n=2", "stages.few.options.n=2", "axes.data.few.images.options.k=1"],
    "selma_weak_to_strong": [*TWO, "axes.teacher.weak.images.options.k=1"],
    "rank_and_steps": TWO,
    "lora_vs_dora_vs_full": TWO,
}


@pytest.mark.parametrize("name", MORE)
def test_an_ablation_executes(name: str, tmp_path: Path) -> None:
    done = selma_core.ablate(name, [*TINY, *MORE[name]], store=tmp_path / "store", seeds=[7])
    assert done.ok, [(node.id, node.error) for node in done.nodes if node.outcome == "failed"]
    result = done.result
    assert all(0 <= entry["dsg"]["mean"] <= 100 for entry in result["scores"].values())
    assert set(done.ablation.measured) <= set(result["scores"]) or len(done.ablation.variants) > 1
    assert [row["claim"] for row in result["claims"]] == [claim.text for claim in done.ablation.claims]


TINY_ROUNDS = [
    "runtime.executor={use: inline, options: {}}",
    "axes.skill=[count, general]",
    "stages.prompts.options.n=2",
    "stages.draw.options.k=4",
    "stages.draw.options.steps=4",
    "stages.bound_draw.options.k=2",
    "stages.bound_draw.options.steps=2",
    "stages.tune.options.steps=2",
    "stages.tune.options.batch_size=2",
    "stages.bench.options.per_group=1",
    "stages.sample.options.steps=2",
    "stages.sample.options.k=1",
]


def test_the_rounds_of_finerewards_execute_and_report_their_trend(tmp_path: Path) -> None:
    run = selma_core.run("finerewards_shapes", TINY_ROUNDS, store=tmp_path / "store")
    assert run.ok, [(node.id, node.error) for node in run.failed]
    for number in (1, 2):
        kept = run.images(f"keep[{number}]")
        assert len(kept) == len({item.prompt.id for item in kept}) == 4
        assert all(set(item.selection["ranks"]) == {"caption_reward", "segment_reward"} for item in kept)
    assert set(run.result["scores"]) == {"base", "best_of_k", "round_1", "round_2"}
    assert run.report is not None
    assert "Mean reward of all images of a round" in run.report.read_text()


def test_the_ablation_of_rewards_executes(tmp_path: Path) -> None:
    done = selma_core.ablate("finerewards_assembly", TINY_ROUNDS, store=tmp_path / "store")
    assert done.ok, [(node.id, node.error) for node in done.nodes if node.outcome == "failed"]
    rows = ["base", "best_of_k", "assembled", "caption_only", "segment_only", "zscore_sum", "released_ranks"]
    assert list(done.result["scores"]) == [*rows, "one_lora_each"]
    assert len(done.result["claims"]) == 4

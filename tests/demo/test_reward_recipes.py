"""The recipes of rewards and rounds say what their papers' settings are."""

from __future__ import annotations

from pathlib import Path

import pytest

from selma_core.graph.node import Graph
from selma_core.session import open_session


def graph(name: str, tmp_path: Path, *overrides: str) -> Graph:
    return open_session(name, overrides, store=tmp_path / "store").graph


def test_finerewards_has_the_notebooks_settings(tmp_path: Path) -> None:
    found = graph("finerewards_sd15", tmp_path)
    assert sorted(node.id for node in found if node.label == "tune") == ["tune[1]", "tune[2]"]
    draw, tune, keep = (found[f"{label}[2]"].bound for label in ("draw", "tune", "keep"))
    assert (draw.k, draw.steps, draw.scheduler) == (10, 50, "DPMSolverMultistepScheduler")
    assert (tune.rank, tune.lr, tune.batch_size, tune.accumulation, tune.clip) == (4, 9e-6, 8, 1, 1.0)
    assert tune.steps == 10 * found["prompts"].bound.n * keep.keep, "ten steps for each pair kept"
    assert (keep.keep, keep.top_frac, keep.released) == (1, 1.0, False)
    assert found["draw[2]"].inputs["adapter"] == found["tune[2]"].inputs["adapter"] == ("tune[1]",)
    assert "adapter" not in found["draw[1]"].inputs


def test_the_judge_is_none_of_the_rewards(tmp_path: Path) -> None:
    found = graph("finerewards_shapes", tmp_path)
    rewards = {slot.use for label in ("rate_caption[1]", "rate_segment[1]") for slot in vars_of(found[label].bound)}
    judges = {found[f"{label}[round_2]"].bound.judge.use for label in ("score", "score_vqa")}
    assert rewards == {"shapes_captioner", "shapes_segmenter", "shapes_rater"}
    assert judges == {"shapes_oracle", "shapes_vqa"}
    assert found["draw[1]"].bound.k >= 4
    assert found["bound_draw"].bound.k == found["draw[1]"].bound.k, "the bound may choose among as many"


def vars_of(options: object) -> list[object]:
    names = ("captioner", "tagger", "segmenter", "judge")
    found = [getattr(options, name, None) for name in names]
    return [slot for slot in found if slot is not None and slot.use]


@pytest.mark.parametrize(
    ("name", "rounds", "rule"),
    [("raft_sd", 10, "best_of"), ("dreamsync_sd", 3, "rank_assembly"), ("gors_sd", 1, "threshold")],
)
def test_the_kin_are_the_same_parts(name: str, rounds: int, rule: str, tmp_path: Path) -> None:
    found = graph(name, tmp_path)
    assert len([node for node in found if node.label == "tune"]) == rounds
    assert found["keep[1]"].offer.record.name == rule
    assert found["sample[final]"].inputs["adapter"] == (f"tune[{rounds}]",)
    more = graph(name, tmp_path, f"axes.round.repeat={rounds + 1}")
    assert more[f"tune[{rounds}]"].fingerprint == found[f"tune[{rounds}]"].fingerprint
    assert found["tune[1]"].bound.sample_weight == ("vqascore" if name == "gors_sd" else "")


def test_dreamsync_takes_only_what_both_rewards_pass(tmp_path: Path) -> None:
    found = graph("dreamsync_sd", tmp_path)
    assert found["draw[1]"].bound.k == 8
    assert set(found["fit[1]"].bound.bounds) == {"vqascore", "pickscore"}
    assert found["keep[1]"].inputs["images"] == ("fit[1]",)

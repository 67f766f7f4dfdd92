"""The report says which reward chose which image."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs
import pytest
from selma_plugins.selection.best_of import BestOf
from selma_plugins.selection.options import BestOfOptions, ParetoOptions, RankAssemblyOptions, ThresholdOptions
from selma_plugins.selection.pareto import Pareto
from selma_plugins.selection.rank_assembly import RankAssembly
from selma_plugins.selection.threshold import Threshold

from selma_core.report.chosen import RewardRow, because, choices
from tests.rewards.test_sharing import folder, run
from tests.selection.kit import Values, job, why

__all__ = ["folder"]

TABLE: dict[str, Values] = {
    "p": {"cap": [0.1, 0.9, 0.5], "seg": [0.2, 0.3, 0.9]},
    "q": {"cap": [0.4, 0.2, 0.1], "seg": [0.9, 0.1, 0.1]},
}
BOTH = ["cap", "seg"]


@pytest.mark.parametrize(
    ("selector", "line"),
    [
        (RankAssembly(RankAssemblyOptions(rewards=BOTH)), "ranked first by cap; cap 0.9 (rank 0), seg 0.3 (rank 1)"),
        (Pareto(ParetoOptions(rewards=BOTH, keep=1)), "ranked first by cap; cap 0.9 (rank 0), seg 0.3 (rank 1)"),
        (Threshold(ThresholdOptions(bounds={"cap": 0.9, "seg": 0.9}, need="any", keep=1)), "cap 0.9, seg 0.3"),
        (BestOf(BestOfOptions(rewards=BOTH)), "cap 0.5, seg 0.9"),
    ],
)
def test_every_selector_says_why(selector: Any, line: str, tmp_path: Path) -> None:
    found = why(selector, job(tmp_path, {"p": TABLE["p"]}))
    assert because(next(iter(found.values()))).removeprefix("passed cap; ") == line


def test_what_other_selectors_write_is_no_error() -> None:
    assert because({}) == because({"values": "none", "best_by": 3}) == ""
    assert because({"values": {"a": 1, "b": None}}) == "a 1"


@attrs.frozen
class Source:
    nodes: list[Any]


def test_a_run_counts_which_reward_chose(folder: Path) -> None:
    done = run(folder, "assembled")
    (choice,) = choices(Source(list(done.nodes)), [])  # type: ignore[arg-type]
    assert (choice.node, choice.rule, choice.kept) == ("keep", "rank_assembly", 3)
    # The captioner says "a red cat" of every image, so all images of a prompt share the first place: 1.5 of 0 to 3.
    assert choice.rewards == (
        RewardRow("caption_reward", 3, None, 1.5, pytest.approx(sum([1, 1 / 3, 0]) / 3)),  # type: ignore[arg-type]
        RewardRow("segment_reward", 3, None, 1.5, 0.5),
    )
    assert len(choice.cells) == 3
    kept = done.images("keep")
    assert {item.selection["rule"] for item in kept} == {"rank_assembly"}
    assert done.report is not None
    section = done.report.read_text().partition('id="chosen"')[2].partition("</section>")[0]
    assert re.search(
        r"caption_reward</th><td class=\"n\">3</td><td class=\"n\">–</td><td class=\"n\">1.50</td>", section
    )
    assert "a red cat: ranked first by caption_reward, segment_reward" in section

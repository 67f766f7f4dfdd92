"""Ranks are ranks: hand-made Borda counts, ties, permutations, and the released fault beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from selma_plugins.selection.options import RankAssemblyOptions
from selma_plugins.selection.order import ranks, sorted_indices
from selma_plugins.selection.rank_assembly import RankAssembly

from selma_core.errors import UserError
from tests.selection.kit import Values, chosen, job, why

AGREED: Values = {"cap": [0.1, 0.9, 0.5], "seg": [0.2, 0.8, 0.5]}
TIED: Values = {"cap": [0.1, 0.9, 0.5], "seg": [0.2, 0.3, 0.9]}


def assembly(**options: Any) -> RankAssembly:
    return RankAssembly(RankAssemblyOptions(**{"rewards": ["cap", "seg"]} | options))


def test_the_best_has_rank_0_and_equals_share_theirs() -> None:
    assert ranks([0.1, 0.9, 0.5]) == [2, 0, 1]
    assert ranks([3, 3, 1]) == [0.5, 0.5, 2]
    assert ranks([3, 3, 1], lowest=True) == [1.5, 1.5, 0]


def test_finerewards_defect_1_the_winner_is_the_best_and_not_the_place_in_a_sorted_list(tmp_path: Path) -> None:
    """The released code adds sorted indices: there the worst image of three wins."""
    work = job(tmp_path, {"p": AGREED})
    assert chosen(assembly(), work) == ["p-1"]
    assert sorted_indices(AGREED["cap"]) == [0, 2, 1]  # type: ignore[arg-type]
    assert chosen(assembly(released=True), work) == ["p-0"]


def test_equal_sums_go_to_the_reward_named_first(tmp_path: Path) -> None:
    work = job(tmp_path, {"p": TIED})
    assert why(assembly(keep=3), work)["p-2"]["value"] == why(assembly(keep=3), work)["p-1"]["value"] == 1
    assert chosen(assembly(), work) == ["p-1"]
    assert chosen(assembly(tie_break=["seg"]), work) == ["p-2"]
    assert chosen(assembly(rewards=["seg", "cap"]), work) == ["p-2"]


def test_full_ties_go_to_the_lower_sample(tmp_path: Path) -> None:
    work = job(tmp_path, {"p": {"cap": [1, 1, 1], "seg": [2, 2, 2]}}, order=[2, 0, 1])
    assert chosen(assembly(), work) == ["p-0"]


def test_borda_winner_is_not_the_winner_of_sums(tmp_path: Path) -> None:
    """Three rewards of different scales: the one that nobody ranks last wins over two extremes."""
    values: Values = {"a": [100.0, 50.0, 0.0], "b": [0.0, 0.4, 0.5], "c": [0.1, 0.3, 0.2]}
    work = job(tmp_path, {"p": values})
    found = why(assembly(rewards=["a", "b", "c"], keep=3), work)
    assert [found[f"p-{k}"]["value"] for k in range(3)] == [0 + 2 + 2, 1 + 1 + 0, 2 + 0 + 1]
    assert next(iter(found)) == "p-1"


def test_weights_and_lowest(tmp_path: Path) -> None:
    work = job(tmp_path, {"p": {"cap": [0.1, 0.9], "seg": [0.8, 0.2]}})
    assert chosen(assembly(weights={"seg": 2.0}), work) == ["p-0"]
    assert chosen(assembly(weights={"cap": 2.0}), work) == ["p-1"]
    assert chosen(assembly(lowest=["cap"]), work) == ["p-0"]


def test_metadata_says_which_reward_chose_the_image(tmp_path: Path) -> None:
    (reason,) = why(assembly(), job(tmp_path, {"p": TIED})).values()
    assert reason == {
        "rule": "rank_assembly",
        "value": 1.0,
        "place": 0,
        "of": 3,
        "values": {"cap": 0.9, "seg": 0.3},
        "ranks": {"cap": 0.0, "seg": 1.0},
        "best_by": ["cap"],
    }


def test_finerewards_defect_2_every_prompt_is_ranked_among_its_own_images(tmp_path: Path) -> None:
    """The released scorer mixes the images of one prompt with the texts of others and never scores the ninth."""
    many: Values = {"cap": [*range(9), 20.0], "seg": [*range(9), 20.0]}
    work = job(tmp_path, {"p": AGREED, "q": many})
    assert chosen(assembly(), work) == ["p-1", "q-9"]


def test_finerewards_defect_3_top_frac_keeps_the_better_half(tmp_path: Path) -> None:
    good: Values = {"cap": [0.9, 0.1, 0.2], "seg": [0.9, 0.1, 0.2]}  # rank sum 0
    split: Values = {"cap": [0.9, 0.1, 0.2], "seg": [0.1, 0.9, 0.8]}  # rank sum 2
    work = job(tmp_path, {"bad": split, "good": good})
    assert chosen(assembly(top_frac=0.5), work) == ["good-0"]
    assert chosen(assembly(limit=1), work) == ["good-0"]
    indices = job(tmp_path, {"low": AGREED, "high": {"cap": [0.9, 0.1, 0.5], "seg": [0.5, 0.1, 0.9]}})
    assert chosen(assembly(released=True, top_frac=0.5), indices) != chosen(assembly(top_frac=0.5), indices)


def test_finerewards_defect_9_blank_images_are_dropped_and_counted(tmp_path: Path) -> None:
    values: Values = {"cap": [9, 8, *[0.1 * k for k in range(8)]], "seg": [9, 8, *[0.1 * k for k in range(8)]]}
    work = job(tmp_path, {"p": values}, blank={"p-0", "p-1"})
    found = why(assembly(keep=10), work)
    assert next(iter(found)) == "p-9"
    assert len(found) == 8
    assert found["p-9"]["of"] == 10
    assert work.context.warnings == ["rank_assembly: 2 of 10 images are blank and were dropped"]  # type: ignore[attr-defined]
    assert chosen(assembly(drop_blank=False), work) == ["p-0"]


def test_a_missing_value_is_not_0(tmp_path: Path) -> None:
    work = job(tmp_path, {"p": {"cap": [None, -0.5, -0.2], "seg": [0.9, -0.4, None]}, "q": {"cap": [None], "seg": [1]}})
    assert chosen(assembly(), work) == ["p-1"]
    assert work.context.warnings == [  # type: ignore[attr-defined]
        "rank_assembly: 3 of 4 images have no value for a reward and were dropped",
        "rank_assembly: 1 of 2 prompts keep no image",
    ]


def test_an_unknown_reward_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no metric 'capt': did you mean 'cap'\?"):
        assembly(rewards=["capt", "seg"]).select(job(tmp_path, {"p": AGREED}))
    with pytest.raises(ValueError, match=r"weights names 'sge'.*did you mean 'seg'"):
        assembly(weights={"sge": 1.0})


FLOATS = st.floats(-5, 5, allow_nan=False).map(lambda value: round(value, 1))


@given(values=st.lists(st.tuples(FLOATS, FLOATS, FLOATS), min_size=2, max_size=7), data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_the_files_is_no_matter(values: list[tuple[float, ...]], data: Any, tmp_path: Path) -> None:
    columns = {name: [row[i] for row in values] for i, name in enumerate("abc")}
    order = data.draw(st.permutations(range(len(values))))
    selector = assembly(rewards=list("abc"), keep=len(values))
    straight = why(selector, job(tmp_path, {"p": columns}))
    assert why(selector, job(tmp_path, {"p": columns}, order=order)) == straight
    # The winner beats or equals every other image in the sum of plainly counted ranks.
    sums = [
        sum(sum(o[i] > row[i] for o in values) + (sum(o[i] == row[i] for o in values) - 1) / 2 for i in range(3))
        for row in values
    ]
    assert sums[int(next(iter(straight)).partition("-")[2])] == pytest.approx(min(sums))


@given(st.lists(FLOATS, min_size=1, max_size=8), st.floats(0.1, 9), st.floats(-3, 3))
def test_ranks_are_free_of_scale(values: list[float], factor: float, shift: float) -> None:
    assert ranks([factor * round(v * 10) + shift for v in values]) == ranks([round(v * 10) for v in values])
    assert sum(ranks(values)) == pytest.approx(len(values) * (len(values) - 1) / 2)

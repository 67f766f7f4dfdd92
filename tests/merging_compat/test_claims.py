"""What the compatibility modes claim holds, and what they do not claim fails: the checks of all strategies.

The experts of a draw have one rank, which the modes on factors ask for.
"""

from __future__ import annotations

import importlib
import re

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from selma_plugins.merging import claims
from selma_plugins.merging_compat.plugin import selma_merge_strategies

from selma_core.records import MergeStrategyRecord
from tests.merging.cases import Case
from tests.merging.claims import CHECKS, Draw, holds


def case(record: MergeStrategyRecord) -> Case:
    module, _, attribute = record.factory.partition(":")
    assert record.options is not None
    built = getattr(importlib.import_module(module), attribute)(record.options())
    return Case(name=record.name, strategy=built, claims=built.claims)


CASES = [case(record) for record in selma_merge_strategies()]
# 200 merges of one draw would show what `equals_linear` does.
CLAIMS = [claim for claim in CHECKS if claim != claims.EXPECTATION]
UNCLAIMED = [(case, claim) for case in CASES for claim in CLAIMS if claim not in case.claims]
draws = st.builds(
    lambda seed, shape, rank, count: Draw(seed, shape, (rank,) * count),
    st.integers(0, 2**31),
    st.sampled_from([(15, 12), (12, 15), (14, 14)]),
    st.integers(1, 3),
    st.integers(1, 4),
)


@pytest.mark.parametrize("claim", CLAIMS)
def test_what_is_claimed_holds(claim: str) -> None:
    cases = [case for case in CASES if claim in case.claims]

    @settings(max_examples=3 if claim == claims.DETERMINISM else 12, phases=(Phase.explicit, Phase.generate))
    @given(draws)
    def check(draw: Draw) -> None:
        assert [str(case) for case in cases if not holds(claim, case, draw)] == []

    check()


@pytest.mark.parametrize(("case", "claim"), UNCLAIMED, ids=[f"{case}-{claim}" for case, claim in UNCLAIMED])
def test_what_is_not_claimed_fails(case: Case, claim: str) -> None:
    drawn = [Draw(seed, ranks=ranks) for seed in range(2) for ranks in ((2, 2, 2), (3, 3), (1, 2, 4))]
    # the null space that `kohya_svd` lets in
    drawn += [Draw(seed, shape, (1, 1)) for seed in range(12) for shape in ((15, 12), (14, 14))]
    assert any(not holds(claim, case, draw) for draw in drawn)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_docstring_names_the_claims(case: Case) -> None:
    text = re.sub(r"\s+", " ", type(case.strategy).__doc__ or "")
    stated = re.search(r"Claims[^:]*: ([a-z_, ]+)\.", text)
    assert stated, text
    assert set(stated[1].split(", ")) == case.claims

"""What the strategies claim holds, what they do not claim does not, and their docstrings say which is which."""

from __future__ import annotations

import re

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from selma_plugins.merging import claims

from tests.merging.cases import CASES, DEFAULTS, Case
from tests.merging.claims import CHECKS, Draw, holds

SHAPES = [(15, 12), (12, 15), (14, 14), (4, 3), (1, 7), (6, 1)]
draws = st.builds(
    Draw,
    seed=st.integers(0, 2**31),
    shape=st.sampled_from(SHAPES),
    ranks=st.lists(st.integers(1, 3), min_size=1, max_size=4).map(tuple),
)
# An example is many merges: 200 seeds, or layers in threads.
EXAMPLES = {claims.EXPECTATION: 1, claims.DETERMINISM: 3}
# An example takes a merge of every case: none is made smaller.
FINDING = (Phase.explicit, Phase.generate)
UNCLAIMED = [(case, claim) for case in CASES for claim in CHECKS if claim not in case.claims]


@pytest.mark.parametrize("claim", list(CHECKS))
def test_what_is_claimed_holds(claim: str) -> None:
    cases = [case for case in CASES if claim in case.claims]

    @settings(max_examples=EXAMPLES.get(claim, 8), phases=FINDING)
    @given(draws)
    def check(draw: Draw) -> None:
        assert [str(case) for case in cases if not holds(claim, case, draw)] == []

    check()


@pytest.mark.parametrize(("case", "claim"), UNCLAIMED, ids=[f"{case}-{claim}" for case, claim in UNCLAIMED])
def test_what_is_not_claimed_fails(case: Case, claim: str) -> None:
    drawn = [Draw(seed, ranks=ranks) for seed in range(2) for ranks in ((2, 1, 3), (1, 2, 2), (3, 3, 1))]
    drawn.append(Draw(0, shape=(1, 2), ranks=(1, 1)))  # a few entries: what a norm of them hides otherwise
    assert any(not holds(claim, case, draw) for draw in drawn)


@pytest.mark.parametrize("case", DEFAULTS, ids=str)
def test_the_docstring_names_the_claims(case: Case) -> None:
    text = re.sub(r"\s+", " ", type(case.strategy).__doc__ or "")
    stated = re.search(r"Claims: ([a-z_, ()]+)\.", text)
    assert stated, text
    assert {name.split()[0] for name in stated[1].split(", ")} == case.claims


def test_every_claim_has_a_meaning_and_a_check() -> None:
    assert set(claims.MEANING) == set(CHECKS)
    assert all(case.claims <= set(CHECKS) for case in CASES)

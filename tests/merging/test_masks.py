"""Random masks: of seed, expert, layer and shape, and of nothing else."""

from __future__ import annotations

import attrs
import pytest
import torch

from selma_core.protocols import Factors
from tests.merging.cases import build
from tests.merging.claims import Draw, job, merged

ONE = Draw(1, (12, 10), (3,)).experts()


def kept(strategy: str, **changes: object) -> torch.Tensor:
    layer = attrs.evolve(job(ONE, [1.0]), **changes)  # type: ignore[arg-type]
    return merged(build(strategy), layer) != 0


@pytest.mark.parametrize("name", ["dare", "della"])
@pytest.mark.parametrize("changes", [{"seed": 1}, {"name": "other"}, {"expert_ids": ("z",)}], ids=str)
def test_another_seed_layer_or_expert_is_another_mask(name: str, changes: dict[str, object]) -> None:
    assert torch.equal(kept(name), kept(name))
    assert not torch.equal(kept(name), kept(name, **changes))


@pytest.mark.parametrize("name", ["dare", "della"])
def test_a_further_expert_changes_no_mask(name: str) -> None:
    two = Draw(2, (12, 10), (3, 1)).experts()
    alone = [merged(build(name), job([part], [1.0], ids=letter)) for part, letter in zip(two, "ab", strict=True)]
    both = merged(build(name), job(two, [1.0, 1.0]))
    torch.testing.assert_close(both, alone[0] + alone[1], rtol=1e-5, atol=1e-5)


def test_masks_of_two_experts_differ() -> None:
    same = ONE * 2
    one, other = (merged(build("dare"), job(same, weights)) != 0 for weights in ([1.0, 0.0], [0.0, 1.0]))
    assert not torch.equal(one, other)


def test_the_masks_are_these() -> None:
    """The same on every machine: a change here changes the results of stored recipes."""
    part = Factors(up=torch.ones(2, 1), down=torch.arange(1.0, 9.0)[None])
    found = {name: (merged(build(name), job([part], [1.0])) != 0).int().tolist() for name in ("dare", "della")}
    assert found == {
        "dare": [[1, 1, 1, 1, 0, 0, 1, 1], [1, 0, 0, 1, 1, 1, 0, 0]],
        "della": [[0, 1, 1, 1, 0, 0, 1, 1], [1, 0, 0, 1, 1, 1, 0, 0]],
    }

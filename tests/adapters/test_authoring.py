"""A plain function as a merge strategy: found as a plugin, options from its signature, seeded streams."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from selma_core.catalog import Catalog
from selma_core.errors import PluginError
from selma_core.merging.authoring import merge_strategy
from selma_core.merging.layer import merge_layer
from selma_core.merging.options import MergeOptions
from selma_core.protocols import Factors, LayerJob
from selma_core.testing import check_merge_strategy

PLUGIN = '''
from selma_core.merging.authoring import merge_strategy

@merge_strategy(summary="the mean, without its smallest entries", reference="nobody")
def trimmed(deltas, weights, *, density: float = 0.5):
    """Keep the largest entries of the mean."""
    mean = sum(w * d for w, d in zip(weights, deltas))
    kept = max(1, int(density * mean.numel()))
    return mean * (mean.abs() >= mean.abs().flatten().topk(kept).values[-1])
'''


def job(count: int = 3) -> LayerJob:
    stream = torch.Generator().manual_seed(0)
    experts = tuple(
        Factors(up=torch.randn(4, 2, generator=stream), down=torch.randn(2, 5, generator=stream)) for _ in range(count)
    )
    ids = tuple(f"e{i}" for i in range(count))
    return LayerJob(name="unet.x", experts=experts, weights=(1 / count,) * count, expert_ids=ids, seed=3)


def test_a_module_with_one_decorated_function_is_a_plugin(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    catalog = Catalog.discover([file])
    offer = catalog.find("merge_strategy", "trimmed")
    assert offer.record.summary == "the mean, without its smallest entries"
    names = [field.name for field in offer.record.options.__attrs_attrs__]
    assert names == ["weights", "scale", "block_weights", "match_norm", "rank", "density"]
    whole = catalog.build(offer, offer.record.options(density=1.0))
    check_merge_strategy(lambda options: catalog.build(offer, options), offer.record.options(density=1.0))
    merged = merge_layer(whole, job())
    assert merged is not None
    mean = sum(e.up @ e.down for e in job().experts) / 3
    torch.testing.assert_close(merged.factors.up @ merged.factors.down, mean)
    half = merge_layer(catalog.build(offer, offer.record.options()), job())
    assert half is not None
    assert int((half.factors.up @ half.factors.down != 0).sum()) == 10


def test_streams_are_one_per_expert_and_repeatable() -> None:
    seen: list[list[float]] = []

    @merge_strategy(summary="noise")
    def noisy(deltas, weights, *, generators):  # type: ignore[no-untyped-def]
        seen.append([float(torch.rand((), generator=g)) for g in generators])
        return sum(deltas)

    strategy = noisy.build(MergeOptions())
    merge_layer(strategy, job(3))
    merge_layer(strategy, job(3))
    merge_layer(strategy, job(2))
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 3
    assert seen[2] == seen[0][:2]  # a further expert changes nothing for the others


def test_the_function_itself_is_kept() -> None:
    @merge_strategy(summary="first", name="the_first")
    def first(deltas, weights):  # type: ignore[no-untyped-def]
        return deltas[0]

    assert first.function([1, 2], []) == 1
    [record] = first()
    assert record.name == "the_first"


def test_an_option_without_a_default_is_refused() -> None:
    with pytest.raises(PluginError, match="option 'density' needs a default"):

        @merge_strategy(summary="bad")
        def bad(deltas, weights, *, density: float):  # type: ignore[no-untyped-def]
            return deltas[0]

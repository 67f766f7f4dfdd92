"""The bundled merge strategies."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.merging.options import MergeOptions
from selma_core.records import MergeStrategyRecord
from selma_plugins.merging.options import ReleasedOptions


@hookimpl
def selma_merge_strategies() -> Iterator[MergeStrategyRecord]:
    """SELMA's merge in both readings, and as its released code computes it."""
    yield MergeStrategyRecord(
        name="linear",
        summary="weighted mean of the deltas B A, exact (SELMA's merge; task arithmetic)",
        factory="selma_plugins.merging.linear:Linear",
        options=MergeOptions,
        reference="arXiv 2403.06952, section 3.4; arXiv 2212.04089",
    )
    yield MergeStrategyRecord(
        name="param_mean",
        summary="weighted mean of A and of B apart; with cross terms between experts",
        factory="selma_plugins.merging.param_mean:ParamMean",
        options=MergeOptions,
        reference="arXiv 2307.13269 (LoraHub's composition)",
    )
    yield MergeStrategyRecord(
        name="selma_released",
        summary="linear with the weights of the released script: 1 / length of the model's id",
        factory="selma_plugins.merging.released:Released",
        options=ReleasedOptions,
        reference="jialuli-luka/SELMA inference/img_gen_merge.py",
    )

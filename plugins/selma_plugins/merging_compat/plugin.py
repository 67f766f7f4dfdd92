"""The compatibility modes: merges as PEFT and kohya's scripts compute them."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.merging.options import MergeOptions
from selma_core.records import MergeStrategyRecord
from selma_plugins.merging_compat.options import (
    KohyaSvdOptions,
    PeftDareOptions,
    PeftMagnitudeOptions,
    PeftOptions,
    PeftTiesOptions,
)

PEFT = "huggingface/peft 0.21.2 tuners/lora/model.py add_weighted_adapter"
KOHYA = "kohya-ss/sd-scripts networks/"

# name, what the tool calls it, class, options
_PEFT_MODES: tuple[tuple[str, str, str, type[MergeOptions]], ...] = (
    ("peft_linear", "linear: A and B added apart, T times too large", "peft:PeftLinear", PeftOptions),
    ("peft_ties", "ties on A and on B apart", "peft:PeftTies", PeftTiesOptions),
    ("peft_dare", "dare_linear or dare_ties on A and on B apart", "peft:PeftDare", PeftDareOptions),
    ("peft_magnitude", "magnitude_prune on A and on B apart", "peft:PeftMagnitude", PeftMagnitudeOptions),
    ("peft_svd", "svd: the sum of deltas, cut to a rank", "peft_svd:PeftSvd", PeftOptions),
    ("peft_ties_svd", "ties_svd: T times too small", "peft_svd:PeftTiesSvd", PeftTiesOptions),
    ("peft_dare_linear_svd", "dare_linear_svd or dare_ties_svd", "peft_svd:PeftDareSvd", PeftDareOptions),
    ("peft_magnitude_svd", "magnitude_prune_svd", "peft_svd:PeftMagnitudeSvd", PeftMagnitudeOptions),
)

# name, summary, class in `kohya`, options, script
_KOHYA_MODES: tuple[tuple[str, str, str, type[MergeOptions], str], ...] = (
    ("kohya_add", "weights act squared, with cross terms", "KohyaAdd", MergeOptions, "merge_lora.py"),
    ("kohya_concat", "weights act squared, expert i at r_i / R", "KohyaConcat", MergeOptions, "merge_lora.py --concat"),
    ("kohya_svd", "the sum of deltas, cut and clamped", "KohyaSvd", KohyaSvdOptions, "svd_merge_lora.py"),
)


@hookimpl
def selma_merge_strategies() -> Iterator[MergeStrategyRecord]:
    """Each is as its tool computes it and keeps no scale: never compare it with other strategies at equal weights."""
    for name, what, factory, options in _PEFT_MODES:
        yield MergeStrategyRecord(
            name=name,
            summary=f"as PEFT computes {what} (outside of the scale contract)",
            factory=f"selma_plugins.merging_compat.{factory}",
            options=options,
            reference=PEFT,
        )
    for name, what, factory, options, script in _KOHYA_MODES:
        yield MergeStrategyRecord(
            name=name,
            summary=f"as kohya's script: {what} (outside of the scale contract)",
            factory=f"selma_plugins.merging_compat.kohya:{factory}",
            options=options,
            reference=KOHYA + script,
        )

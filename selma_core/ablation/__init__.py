"""Ablations: one recipe in several variants and training seeds. What they share is made once."""

from __future__ import annotations

from selma_core.ablation.load import load_ablation
from selma_core.ablation.opened import OpenAblation, open_ablation, open_variants
from selma_core.ablation.run import AblationRun, ablate, run_ablation
from selma_core.ablation.spec import Ablation, Claim, parse_seeds, repeat, vary

__all__ = [
    "Ablation",
    "AblationRun",
    "Claim",
    "OpenAblation",
    "ablate",
    "load_ablation",
    "open_ablation",
    "open_variants",
    "parse_seeds",
    "repeat",
    "run_ablation",
    "vary",
]

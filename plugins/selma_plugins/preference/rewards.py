"""The differentiable siblings of the preference evaluators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import attrs
import torch

from selma_core.data import MetricInfo, Prompt
from selma_core.errors import StageError
from selma_core.protocols import Context
from selma_core.rewards import KEY
from selma_plugins.preference.clipscore import ClipScore
from selma_plugins.preference.denscore import Denscore
from selma_plugins.preference.evaluator import PreferenceEvaluator
from selma_plugins.preference.hpsv2 import Hps20, Hps21
from selma_plugins.preference.imagereward import ImageReward
from selma_plugins.preference.pickscore import PickScore

_KEPT = 4096  # encoded prompts that are remembered; a trainer sees each many times


class PreferenceReward:
    """`selma_core.protocols.Reward`: the value that the evaluator would store, with its gradient to the image.

    The rule does not matter here: it scales what is stored. The model is frozen; only the image has a gradient.
    """

    evaluator: ClassVar[type[PreferenceEvaluator]]

    def __init__(self, options: Any) -> None:
        self._evaluator = self.evaluator(options)
        self._context: Context | None = None
        self._encoded: dict[str, Any] = {}

    @property
    def info(self) -> MetricInfo:
        """The evaluator's, with the rule of the stored value."""
        stored = next(name for name, rule in self._evaluator.rules.items() if rule.factor == 1 and not rule.component)
        return attrs.evolve(self._evaluator.info, rules=(stored,))

    def attach(self, context: Context) -> None:
        """Keeps the context for the model and its device."""
        self._context = context

    def __call__(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """images [B, 3, H, W] in [0, 1], B prompts -> rewards [B], fp32, on the model's device.

        Raises:
            StageError: as many prompts as images are needed, and a context (`attach`).
        """
        return self.parts(images, prompts)[KEY]

    def parts(self, images: torch.Tensor, prompts: Sequence[str]) -> dict[str, torch.Tensor]:
        """The reward as `score`, and beside it what the evaluator would store beside its value; [B] each.

        Raises:
            StageError: as many prompts as images are needed, and a context (`attach`).
        """
        if self._context is None:
            raise StageError(f"reward '{self._evaluator.metric.name}' has no context: call attach(context) first")
        if len(prompts) != len(images):
            raise StageError(f"{len(images)} images but {len(prompts)} prompts")
        scorer = self._evaluator.ready(self._context)
        if len(self._encoded) > _KEPT:
            self._encoded.clear()
        for text in prompts:
            if text not in self._encoded:
                spec = self._evaluator.spec(Prompt(id=text, text=text), scorer)
                self._encoded[text] = scorer.encode(spec, self._evaluator.texts(spec))
        pixels = scorer.shrink(images.to(device=scorer.device, dtype=torch.float32))
        return scorer.parts(scorer.see(pixels), [self._encoded[text] for text in prompts])


class PickScoreReward(PreferenceReward):
    """exp(logit_scale) x cosine."""

    evaluator = PickScore


class ClipScoreReward(PreferenceReward):
    """The cosine."""

    evaluator = ClipScore


class Hps20Reward(PreferenceReward):
    """HPSv2 2.0: the cosine."""

    evaluator = Hps20


class Hps21Reward(PreferenceReward):
    """HPSv2 2.1: the cosine."""

    evaluator = Hps21


class ImageRewardReward(PreferenceReward):
    """The standardised reward."""

    evaluator = ImageReward


class DenscoreReward(PreferenceReward):
    """The mean cosine of the sentences with its text-irrelevant part times omega."""

    evaluator = Denscore

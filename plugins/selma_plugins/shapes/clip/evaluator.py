"""The evaluator `shapes_denscore` and its reward: Denscore on the world's own CLIP-like model."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, ClassVar

import attrs

from selma_core.data import MetricInfo
from selma_core.protocols import Context
from selma_plugins.preference.denscore import Denscore
from selma_plugins.preference.rewards import PreferenceReward
from selma_plugins.preference.sentences import reference_texts
from selma_plugins.preference.weights import path_of
from selma_plugins.shapes.captions import training_caption
from selma_plugins.shapes.scene import random_scene

if TYPE_CHECKING:
    from selma_plugins.shapes.clip.scorer import ShapesScorer

REFERENCES = 256  # captions of random scenes, whose mean text feature is the common direction


class ShapesDenscore(Denscore):
    """As `denscore`, with its rules; the reference texts are captions of the world."""

    metric: ClassVar[MetricInfo] = attrs.evolve(Denscore.metric, name="shapes_denscore", max_text_tokens=48)

    def load(self, context: Context) -> ShapesScorer:
        """The readers of `shapes_judge` and the text encoder that they were trained on."""
        import torch
        from transformers import CLIPTextModel, CLIPTokenizer

        from selma_plugins.preference.dense import pack
        from selma_plugins.shapes.clip.scorer import ShapesScorer
        from selma_plugins.shapes.judge.reader import load_judge

        entry = context.entry("models", self.options.model)
        base = path_of(context.entry("models", self.options.tokenizer))
        image, text = load_judge(path_of(entry))
        device = context.device
        encoder = CLIPTextModel.from_pretrained(base / "text_encoder", dtype=torch.float32).eval().requires_grad_(False)
        tokenizer = CLIPTokenizer.from_pretrained(base / "tokenizer")
        scorer = ShapesScorer(image.to(device), text.to(device), encoder.to(device), tokenizer, entry.pin)
        if self.options.common == "stored" and self._direction is None:
            name = self.options.reference
            texts = reference_texts(context.entry("files", name).path) if name else world_texts()
            self._direction = pack(scorer.fit_common_direction(texts))
        return scorer


class ShapesDenscoreReward(PreferenceReward):
    """Its value, with the gradient to the picture."""

    evaluator = ShapesDenscore


def world_texts() -> list[str]:
    """The reference texts: what captions say of random scenes, without mistakes."""
    rng = Random("shapes_denscore")
    return [training_caption(random_scene(rng), rng, 0.0)[1] for _ in range(REFERENCES)]

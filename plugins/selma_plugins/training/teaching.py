"""What a text encoder learns beside the denoiser, where it has something to learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import nn

from selma_core.protocols import Embeddings, EncoderLearner, TextEncoder, TrainableEncoder

PREFIX = "text_encoder."


def learner_of(encoder: TextEncoder, pipeline: Any, seed: int) -> EncoderLearner | None:
    """What can be taught of an encoder; None for one that only reads."""
    return encoder.learner(pipeline, seed) if isinstance(encoder, TrainableEncoder) else None


@attrs.frozen
class States:
    """The part of an encoder that training does not change, as a `TextEncoder`, so that it is made once per text."""

    learner: EncoderLearner

    def encode(self, pipeline: Any, prompts: Sequence[str]) -> Embeddings:
        """The learner's states."""
        return self.learner.states(pipeline, prompts)


def named(learner: EncoderLearner | None) -> dict[str, nn.Parameter]:
    """The learner's weights, by names that are none of the denoiser's."""
    return {} if learner is None else {f"{PREFIX}{name}": weight for name, weight in learner.weights.items()}


def learnt(learner: EncoderLearner, kept: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The learner's part of what a loop kept, for `TrainedAdapter.encoder`."""
    return {name: kept[f"{PREFIX}{name}"].detach().float().cpu().contiguous() for name in learner.weights}

"""The text encoder `scaled`: another encoder's embeddings times a constant. No method, but a reference.

A convex adapter shrinks the embedding by 1 - eta before it has learnt anything, which alone changes images; so what it
gains is measured against the base under the same shrinking.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from selma_core.protocols import Context, Embeddings, TextEncoder
from selma_plugins.sur.options import ScaledOptions


class Scaled:
    """`selma_core.protocols.TextEncoder`."""

    def __init__(self, options: ScaledOptions) -> None:
        self._options = options
        self._inner: TextEncoder | None = None

    def attach(self, context: Context) -> None:
        """Builds the encoder underneath."""
        self._inner = context.component("text_encoder", self._options.encoder)

    def encode(self, pipeline: Any, prompts: Sequence[str]) -> Embeddings:
        """hidden [B, L, D] times the factor; pooled and mask as they are."""
        if self._inner is None:
            from selma_core.records import NoOptions
            from selma_plugins.encoders.clip import PipelineEncoder

            self._inner = PipelineEncoder(NoOptions())
        found = self._inner.encode(pipeline, prompts)
        return attrs.evolve(found, hidden=found.hidden * self._options.factor)

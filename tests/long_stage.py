"""A stage over tiny pipelines whose text encoder is `longalign`, with a tiny T5 beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from selma_core.data import Entry
from selma_core.options import Slot
from tests import tiny_models
from tests.tiny_stage import TinyContext


def t5_folder(folder: Path, width: int = 32, seed: int = 7) -> Path:
    """A T5 encoder of one layer with its tokenizer, as transformers stores them."""
    import torch

    tokenizer, model = tiny_models.t5(folder, width)
    if seed != 7:
        generator = torch.Generator().manual_seed(seed)
        for weight in model.parameters():
            weight.data.add_(torch.randn(weight.shape, generator=generator) * 0.1)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


@attrs.define
class LongContext(TinyContext):
    """A context that builds `longalign` too; models are known by what is in their files."""

    models: dict[Any, Any] = attrs.field(factory=dict)

    def component(self, kind: str, slot: Slot) -> Any:
        from selma_plugins.encoders.longalign import LongAlignEncoder
        from selma_plugins.encoders.options import LongAlignOptions

        if slot.use != "longalign":
            return super().component(kind, slot)
        built = LongAlignEncoder(LongAlignOptions(**slot.options))
        built.attach(self)
        return built

    def entry(self, section: str, name: str) -> Entry:
        found = super().entry(section, name)
        weights = Path(name) / "model.safetensors"
        pin = hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else "0"
        return attrs.evolve(found, pin=f"sha256:{pin}")

    def model(self, key: Any, load: Callable[[], Any]) -> Any:
        """Loaded once."""
        if key not in self.models:
            self.models[key] = load()
        return self.models[key]

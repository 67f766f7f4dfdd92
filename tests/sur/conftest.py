"""A tiny base, images with pairs of prompts, a tiny language model, and a trainer over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
import transformers

from selma_core.data import ImageItem
from selma_core.options import Slot
from selma_core.protocols import TrainedAdapter, TrainJob
from tests import tiny_models
from tests.tiny_stage import TEXTS, TinyContext, items

COMPLEX = tuple(f"{text} left of a blue square" for text in TEXTS)


@attrs.define
class SurContext(TinyContext):
    """A context that builds the adapter's encoder too."""

    built: dict[str, Any] = attrs.field(factory=dict)
    models: dict[Any, Any] = attrs.field(factory=dict)

    def model(self, key: Any, load: Callable[[], Any]) -> Any:
        """Loaded once."""
        if key not in self.models:
            self.models[key] = load()
        return self.models[key]

    def component(self, kind: str, slot: Slot) -> Any:
        from selma_plugins.sur.encoder import SurEncoder
        from selma_plugins.sur.options import SurEncoderOptions

        if slot.use != "sur_adapter":
            return super().component(kind, slot)
        if str(slot.options) not in self.built:
            self.built[str(slot.options)] = SurEncoder(SurEncoderOptions(**slot.options))
            self.built[str(slot.options)].attach(self)
        return self.built[str(slot.options)]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.sd(tmp_path_factory.mktemp("models") / "base")


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageItem, ...]:
    """Six images, each with a simple and a complex prompt; their text is the complex one."""
    plain = items(tmp_path_factory.mktemp("pictures"), 6)
    return tuple(
        attrs.evolve(
            item,
            prompt=attrs.evolve(item.prompt, text=full, meta={"simple": item.prompt.text, "complex": full}),
        )
        for item, full in zip(plain, COMPLEX, strict=True)
    )


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaMA of two layers, width 24, that reads letters."""
    folder = tmp_path_factory.mktemp("teacher")
    tokenizer = tiny_models.clip_tokenizer(folder / "made")
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
    )
    torch.manual_seed(7)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


Train = Callable[..., TrainedAdapter]


@pytest.fixture
def train(base: Path, pairs: tuple[ImageItem, ...], teacher: Path, tmp_path: Path) -> Train:
    """Trains a tiny adapter; every call has its own work folder unless it is given a context."""
    from selma_plugins.sur.options import SurOptions
    from selma_plugins.sur.trainer import SurTrainer

    def run(
        images: Sequence[ImageItem] = pairs,
        context: SurContext | None = None,
        adapter: Path | None = None,
        **options: Any,
    ) -> TrainedAdapter:
        small = {"steps": 4, "batch_size": 4, "accumulation": 1, "lr": 1e-2, "log_every": 2, "heldout": 0.0}
        given = SurOptions(**{"model": str(base), "teacher": str(teacher), **small, **options})
        job_context = context or SurContext(tmp_path / f"work{len(list(tmp_path.iterdir()))}")
        job_context.workdir.mkdir(exist_ok=True)
        return SurTrainer(given).train(TrainJob(context=job_context, images=tuple(images), adapter=adapter))

    return run

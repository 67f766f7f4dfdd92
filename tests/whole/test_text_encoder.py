"""The slot `text_encoder` is honoured: another plugin gives other images, another adapter, another fingerprint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load

from selma_core.artifacts.adapter import adapter_file
from selma_core.artifacts.images import read_images
from selma_core.result import Run
from tests.whole.conftest import folder_of

TEXTS = ["a red cat", "two blue hats", "left of cat", "cat"]  # the last is the same backwards
BACKWARDS = '''
from selma_core import hookimpl
from selma_core.records import NoOptions, TextEncoderRecord


class Backwards:
    """The pipeline's own encoding of the words in reverse order."""

    def __init__(self, options):
        from selma_plugins.encoders.clip import PipelineEncoder

        self._inner = PipelineEncoder(NoOptions())

    def encode(self, pipeline, prompts):
        return self._inner.encode(pipeline, [" ".join(reversed(prompt.split())) for prompt in prompts])


@hookimpl
def selma_text_encoders():
    yield TextEncoderRecord(name="backwards", summary="words backwards", factory="backwards:Backwards")
'''
ENCODERS: dict[str, dict[str, Any]] = {
    "default": {},
    "named": {"text_encoder": {"use": "clip"}},
    "other": {"text_encoder": {"use": "backwards"}},
}


@pytest.fixture
def made(start: Callable[..., Run], draw: dict[str, Any], lora: dict[str, Any], tmp_path: Path) -> Run:
    """Images and adapters with every encoder; `turned_*` are those of the reversed texts with the default encoder."""
    (tmp_path / "backwards.py").write_text(BACKWARDS)
    stages: dict[str, Any] = {}
    for name, texts in (("", TEXTS), ("turned_", [" ".join(reversed(text.split())) for text in TEXTS])):
        file = tmp_path / f"{name}prompts.txt"
        file.write_text("\n".join(texts))
        stages[f"{name}prompts"] = {"kind": "prompt_source", "use": "prompt_file", "options": {"path": str(file)}}
    for name, encoder in ENCODERS.items():
        stages |= both(name, "prompts", draw | encoder, lora | encoder)
    stages |= both("turned", "turned_prompts", draw, lora)
    # Equal pictures and captions, so that these two differ by the encoder alone.
    stages["expert_same"] = stages["expert_other"] | {"options": lora}
    return start(stages, (tmp_path / "backwards.py",))


def both(name: str, prompts: str, draw: dict[str, Any], lora: dict[str, Any]) -> dict[str, Any]:
    images = {"kind": "image_generator", "use": "diffusers", "from": {"prompts": prompts}, "options": draw}
    expert = {"kind": "adapter_trainer", "use": "lora", "from": {"images": f"images_{name}"}, "options": lora}
    return {f"images_{name}": images, f"expert_{name}": expert}


def pictures(run: Run, name: str) -> Sequence[str]:
    return [item.sha256 for item in read_images(folder_of(run, f"images_{name}"))]


def adapter(run: Run, name: str) -> bytes:
    return adapter_file(folder_of(run, f"expert_{name}")).read_bytes()


def test_another_text_encoder_is_used_for_images_and_for_training(made: Run) -> None:
    default, other = pictures(made, "default"), pictures(made, "other")
    assert [a == b for a, b in zip(default, other, strict=True)] == [False, False, False, True]
    assert list(other) == list(pictures(made, "turned"))
    assert list(default) == list(pictures(made, "named"))  # nobody said otherwise, so it is `clip`
    assert adapter(made, "default") == adapter(made, "named")
    assert adapter(made, "other") != adapter(made, "same")
    # It trained on the embeddings of the reversed texts; only the card differs.
    tensors = {name: load(adapter(made, name)) for name in ("other", "turned")}
    assert all(torch.equal(value, tensors["turned"][name]) for name, value in tensors["other"].items())
    prints = {node.id: node.fingerprint for node in made.nodes}
    for stage in ("images", "expert"):
        assert prints[f"{stage}_default"] != prints[f"{stage}_other"]
    assert prints["expert_other"] != prints["expert_same"]

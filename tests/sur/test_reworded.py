"""The reference encoder that has a chat model write complex prompts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from selma_plugins.diffusion.embeddings import EmbeddingCache, warn_cut
from selma_plugins.diffusion.loading import load_pipeline
from selma_plugins.encoders.clip import PipelineEncoder
from selma_plugins.sur.options import RewordedOptions
from selma_plugins.sur.reworded import Reworded

from selma_core.data import ChatReply, ChatRequest
from selma_core.errors import StageError, UserError
from selma_core.options import Slot
from selma_core.protocols import Counting, TextEncoder
from selma_core.records import NoOptions
from tests.tiny_stage import TinyContext


class Writer:
    identity = "writer"

    def __init__(self, fails: str = "") -> None:
        self.calls: list[list[str]] = []
        self.fails = fails

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        prompts = [request.messages[0].text.splitlines()[-1] for request in requests]
        self.calls.append(prompts)
        return [ChatReply(error="down") if one == self.fails else ChatReply(text=f'"{one}, red"\nx') for one in prompts]


@attrs.define
class Context(TinyContext):
    writer: Writer = attrs.field(factory=Writer)

    def component(self, kind: str, slot: Slot) -> Any:
        return self.writer if kind == "chat_model" else super().component(kind, slot)


def reworded(context: Context, **options: Any) -> Reworded:
    encoder = Reworded(RewordedOptions(**options))
    assert isinstance(encoder, TextEncoder)
    assert isinstance(encoder, Counting)
    encoder.attach(context)
    return encoder


def test_the_new_text_is_read_and_the_empty_prompt_stays(base: Path, tmp_path: Path) -> None:
    context, pipeline = Context(tmp_path), load_pipeline(base, torch.float32)
    found = reworded(context).encode(pipeline, ["a cat", ""]).hidden
    plain = PipelineEncoder(NoOptions()).encode(pipeline, ["a cat, red", ""]).hidden
    assert torch.equal(found, plain)
    assert context.writer.calls == [["a cat"]]
    assert context.warnings == ["prompts are drawn as writer words them, like 'a cat, red'"]


def test_prompts_are_asked_for_together_and_once(base: Path, tmp_path: Path) -> None:
    context, pipeline = Context(tmp_path), load_pipeline(base, torch.float32)
    encoder = reworded(context, batch_size=2)
    texts = ["a", "b", "c"]
    warn_cut(pipeline, texts, context.warn, encoder)
    cache = EmbeddingCache(encoder, pipeline)
    for text in [*texts, ""]:
        cache.get(text)
    assert context.writer.calls == [["a", "b"], ["c"]]
    again = attrs.evolve(context, writer=Writer(), warnings=[])
    reworded(again).encode(pipeline, ["c", "d"])  # a run that was killed goes on
    assert again.writer.calls == [["d"]]


def test_a_prompt_without_a_reply_ends_the_stage_and_the_others_are_kept(base: Path, tmp_path: Path) -> None:
    context, pipeline = Context(tmp_path, writer=Writer(fails="b")), load_pipeline(base, torch.float32)
    with pytest.raises(StageError, match="writer wrote nothing for 'b': down"):
        reworded(context).encode(pipeline, ["a", "b"])
    context.writer = Writer()
    reworded(context).encode(pipeline, ["a", "b"])
    assert context.writer.calls == [["b"]]


def test_wrong_use_is_one_line() -> None:
    with pytest.raises(UserError, match="asks a chat model, which only a stage can give it"):
        Reworded(RewordedOptions()).encode(None, ["a"])
    with pytest.raises(ValueError, match=r"must contain \{prompt\}"):
        RewordedOptions(instruction="write")

"""The conformance kit on what makes prompts, words, images and choices: bad ones are told what to change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from selma_core.data import (
    ChatReply,
    Prompt,
    PromptBatch,
)
from selma_core.protocols import Embeddings
from selma_core.testing import (
    check_chat_model,
    check_image_generator,
    check_prompt_source,
    check_selector,
    check_text_encoder,
)
from tests.core.conformance import fails, items


class Source:
    """Four batches of one prompt each."""

    def __init__(self, options: Any) -> None:
        self.state = 0

    def prompts(self, job: Any) -> Any:
        for index in range(len(job.done), 4):
            yield PromptBatch(accepted=(Prompt(id=f"p{index}", text=f"text {index} {job.context.seed}"),))


class Forgets(Source):
    def prompts(self, job: Any) -> Any:
        for index in range(4 - len(job.done)):
            yield PromptBatch(accepted=(Prompt(id=f"p{index}", text="t"),))


class Repeats(Source):
    def prompts(self, job: Any) -> Any:
        yield PromptBatch(accepted=(Prompt(id="p", text="a"), Prompt(id="p", text="b")))


class Random(Source):
    calls = 0

    def prompts(self, job: Any) -> Any:
        Random.calls += 1
        yield PromptBatch(accepted=(Prompt(id="p", text=f"{Random.calls}"),))


@pytest.mark.parametrize(
    ("source", "message"),
    [(Forgets, "resumed after 1 batches"), (Repeats, "prompt id 'p' repeats"), (Random, "gave other prompts")],
)
def test_bad_prompt_source(source: Any, message: str, tmp_path: Path) -> None:
    with fails(message):
        check_prompt_source(source, None, workdir=tmp_path)


def test_good_prompt_source(tmp_path: Path) -> None:
    assert len(check_prompt_source(Source, None, workdir=tmp_path)) == 4


class Chat:
    identity = "echo"

    def __init__(self, options: Any) -> None:
        self.options = options

    def reply(self, requests: Any) -> Any:
        return [self.one(request) for request in requests]

    def one(self, request: Any) -> ChatReply:
        return ChatReply(text=request.messages[-1].text)


class Short(Chat):
    def reply(self, requests: Any) -> Any:
        return super().reply(requests)[:1]


class Reversed(Chat):
    def reply(self, requests: Any) -> Any:
        return super().reply(requests)[::-1]


class TextAndError(Chat):
    def one(self, request: Any) -> ChatReply:
        return ChatReply(text="no", error="timeout")


def test_chat_models() -> None:
    check_chat_model(Chat, None)
    for model, message in ((Short, "gave 1 replies"), (Reversed, "check the order"), (TextAndError, "no text")):
        with fails(message):
            check_chat_model(model, None)


# --- images -------------------------------------------------------------------------------------------------


class Drawer:
    images_per_prompt = 1

    def __init__(self, options: Any) -> None:
        self.options = options

    def images(self, job: Any) -> Any:
        from PIL import Image

        for index, request in enumerate(job.requests):
            yield request, Image.new("RGB", (2, 2), (self.shade(index, request), 0, 0))

    def shade(self, index: int, request: Any) -> int:
        return int(request.seed % 256)


class BatchSeeded(Drawer):
    def shade(self, index: int, request: Any) -> int:
        return index


class Forgetful(Drawer):
    def images(self, job: Any) -> Any:
        yield from list(super().images(job))[:-1]


class Grey(Drawer):
    def images(self, job: Any) -> Any:
        for request, image in super().images(job):
            yield request, image.convert("L")


def test_image_generators(tmp_path: Path) -> None:
    check_image_generator(Drawer, None, workdir=tmp_path)
    cases = ((BatchSeeded, "order of the requests"), (Forgetful, "left out"), (Grey, "mode RGB"))
    for generator, message in cases:
        with fails(message):
            check_image_generator(generator, None, workdir=tmp_path)


class Encoder:
    def __init__(self, options: Any) -> None:
        self.options = options

    def encode(self, pipeline: Any, prompts: Any) -> Embeddings:
        import torch

        rows = [torch.full((3, 4), float(len(prompt))) for prompt in prompts]
        return Embeddings(hidden=torch.stack(rows), mask=self.mask(len(prompts)))

    def mask(self, count: int) -> Any:
        return None


class WrongMask(Encoder):
    def mask(self, count: int) -> Any:
        import torch

        return torch.ones(count, 3)


def test_text_encoders() -> None:
    check_text_encoder(Encoder, None, pipeline=None)
    with fails("mask must be bool"):
        check_text_encoder(WrongMask, None, pipeline=None)


class Best:
    def __init__(self, options: Any) -> None:
        self.options = options

    def select(self, job: Any) -> Any:
        return [(item, {"why": "first"}) for item in job.items if item.k == 0]


class Inventor(Best):
    def select(self, job: Any) -> Any:
        return [(attrs.evolve(job.items[0], item_id="other"), {})]


def test_selectors(tmp_path: Path) -> None:
    given = items(tmp_path)
    scores: dict[str, dict[str, float | None]] = {"dsg": {item.item_id: 1.0 for item in given}}
    check_selector(Best, None, items=given, scores=scores, workdir=tmp_path)
    with fails("was no candidate"):
        check_selector(Inventor, None, items=given, scores=scores, workdir=tmp_path)


# --- adapters -----------------------------------------------------------------------------------------------

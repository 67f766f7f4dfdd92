"""Judges, images and contexts for the evaluators that read probabilities or preferences."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from selma_core.data import ChatReply, ChatRequest, Entry, ImageItem, ImagePart, ItemAtoms, Prompt
from selma_core.options import Slot
from selma_core.protocols import Comparing
from selma_core.testing import FakeContext

JUDGE = Slot("fake")


class Judge:
    """Gives the probabilities of the choices by a function of (image name, question, choices); None = a failed call."""

    identity = "fake:judge"

    def __init__(self, answer: Callable[[str, str, tuple[str, ...]], Mapping[str, float] | None]) -> None:
        self.answer = answer
        self.calls: list[list[ChatRequest]] = []

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        self.calls.append(list(requests))
        return [self._one(request) for request in requests]

    def _one(self, request: ChatRequest) -> ChatReply:
        found = self.answer(names(request)[0], request.messages[-1].text, request.choices)
        if found is None:
            return ChatReply(error="timed out")
        text = max(found, key=lambda choice: found[choice])
        logs = {choice: math.log(p) if p > 0 else -math.inf for choice, p in found.items()}
        return ChatReply(text=text, choice_logprobs=logs)

    @property
    def questions(self) -> list[str]:
        """Everything it was asked."""
        return [request.messages[-1].text for call in self.calls for request in call]


class Words:
    """Answers with words by a function of (image names in order, question); has no probabilities."""

    identity = "fake:words"

    def __init__(self, answer: Callable[[list[str], str], str | None]) -> None:
        self.answer = answer
        self.asked: list[ChatRequest] = []

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        self.asked += requests
        found = [self.answer(names(r), r.messages[-1].text) for r in requests]
        return [ChatReply(error="timed out") if text is None else ChatReply(text=text) for text in found]


def names(request: ChatRequest) -> list[str]:
    """The stems of the images, which come before the text."""
    parts = request.messages[-1].parts
    images = [part.path.stem for part in parts if isinstance(part, ImagePart)]
    assert images
    assert all(isinstance(part, ImagePart) for part in parts[: len(images)])
    return images


def images(prompts: Sequence[Prompt], k: int = 1, kind: str = "") -> list[ImageItem]:
    """`k` images of each prompt; `kind` makes another set of them."""
    return [
        ImageItem(item_id=f"{p.id}-{i}", prompt=p, path=Path(f"{p.id}-{i}{kind}.png"), sha256=f"{p.id}{i}{kind}", k=i)
        for p in prompts
        for i in range(k)
    ]


def context_of(judge: Any, *entries: Entry, workdir: Path | None = None) -> FakeContext:
    """A context with one judge, `fake`."""
    found = {(entry.section, entry.name): entry for entry in entries}
    return FakeContext(workdir=workdir or Path(), components={("chat_model", "fake"): judge}, entries=found)


def evaluate(
    evaluator: Any, items: Sequence[ImageItem], context: FakeContext, baseline: Sequence[ImageItem] = ()
) -> tuple[Mapping[str, Any], list[ItemAtoms]]:
    """Specs and rows, as the stage gets them."""
    if isinstance(evaluator, Comparing):
        evaluator.against(baseline)
    specs = evaluator.prepare(list({item.prompt.id: item.prompt for item in items}.values()), context)
    return specs, list(evaluator.observe(items, specs, context))


def lost(image: str, question: str) -> bool:
    """About every third call times out, whatever its answer would be."""
    return sum(map(ord, image + question)) % 3 == 0

"""Captioners, taggers, segmenters and judges that are functions; images that are names."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from selma_core.data import ChatReply, ChatRequest, ImageItem, ImagePart, ItemAtoms, Prompt
from selma_core.testing import FakeContext

PROMPT = Prompt(id="p", text="a dog beside 2 cats", meta={"group": "animals"})


class Chat:
    """Answers by a function of (stem of the image or "", text); None = a failed call. Keeps what it was asked."""

    def __init__(self, name: str, answer: Callable[[str, str], str | None]) -> None:
        self.identity = f"fake:{name}"
        self.answer = answer
        self.asked: list[ChatRequest] = []
        self.calls = 0

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        self.asked += requests
        self.calls += 1
        return [self._one(request) for request in requests]

    def _one(self, request: ChatRequest) -> ChatReply:
        assert len(request.messages) == 1, "a request is by itself: no earlier turns"
        message = request.messages[0]
        stem = next((part.path.stem for part in message.parts if isinstance(part, ImagePart)), "")
        found = self.answer(stem, message.text)
        return ChatReply(error="timed out") if found is None else ChatReply(text=found)


def asked_about(text: str) -> dict[str, Any]:
    """What a judge's request holds in its last line."""
    found: dict[str, Any] = json.loads(text.splitlines()[-1])
    return found


def rater(scores: Mapping[str, int], missing: Sequence[str] | None = None) -> Chat:
    """Rates by a table."""

    def answer(stem: str, text: str) -> str:
        found: dict[str, Any] = {"scores": {t: scores[t] for t in asked_about(text)["things"] if t in scores}}
        return json.dumps(found | ({} if missing is None else {"missing": list(missing)}))

    return Chat("judge", answer)


def items(prompts: Sequence[Prompt] = (PROMPT,), k: int = 1) -> list[ImageItem]:
    return [
        ImageItem(item_id=f"{p.id}-{i}", prompt=p, path=Path(f"{p.id}-{i}.png"), sha256=f"{p.id}{i}", k=i)
        for p in prompts
        for i in range(k)
    ]


def run(
    evaluator: Any, images: Sequence[ImageItem], **chats: Any
) -> tuple[list[ItemAtoms], list[float | None], FakeContext]:
    """Rows, values under the default rule, and the context."""
    context = FakeContext(workdir=Path(), components={("chat_model", name): chat for name, chat in chats.items()})
    specs = evaluator.prepare(list({i.prompt.id: i.prompt for i in images}.values()), context)
    rows = list(evaluator.observe(images, specs, context))
    rule = evaluator.info.rules[0]
    return rows, [evaluator.score(row.atoms, specs[row.prompt_id], rule) for row in rows], context

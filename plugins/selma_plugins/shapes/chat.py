"""The perception oracle behind the chat-model contract, so that the ordinary evaluators run unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from selma_core.data import ChatReply, ChatRequest
from selma_core.records import NoOptions
from selma_plugins.shapes.asked import picture_and_question
from selma_plugins.shapes.oracle import answer


class ShapesOracle:
    """Answers the last question of the last message about its last image; knows only yes and no."""

    identity = "shapes_oracle"

    def __init__(self, options: NoOptions) -> None:
        self._options = options

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        """One reply per request; an unreadable question or a missing image is an error, not an answer."""
        return [_reply(request) for request in requests]


def _reply(request: ChatRequest) -> ChatReply:
    try:
        path, question = picture_and_question(request, ShapesOracle.identity)
    except ValueError as error:
        return ChatReply(error=str(error))
    try:
        return ChatReply(text=_ask(path, question))
    except (OSError, ValueError) as error:
        return ChatReply(error=f"shapes_oracle: {error}")


def _ask(path: Path, question: str) -> str:
    with Image.open(path) as image:
        return answer(image.convert("RGB"), question)

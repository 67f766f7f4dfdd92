"""Requests as one plain text, for models that continue a text instead of answering a turn."""

from __future__ import annotations

from collections.abc import Sequence

from selma_core.data import ChatRequest, ImagePart


def as_text(request: ChatRequest) -> str:
    """The texts of all turns, in order, an empty line between turns; the reply goes on where it ends."""
    return "\n\n".join(message.text for message in request.messages)


def as_turns(request: ChatRequest) -> list[dict[str, str]]:
    """The turns as `{"role", "content"}`, the form that chat templates take."""
    return [{"role": message.role, "content": message.text} for message in request.messages]


def has_images(request: ChatRequest) -> bool:
    """Whether any turn holds an image."""
    return any(isinstance(part, ImagePart) for message in request.messages for part in message.parts)


def before_stop(text: str, stops: Sequence[str]) -> str:
    """The text up to the first of the stops."""
    return text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]

"""What a chat request asks of the world's judges: the last question of its last message, about its last image."""

from __future__ import annotations

import re
from pathlib import Path

from selma_core.data import ChatRequest, ImagePart

_QUESTION = re.compile(r"[^.?!\n]*\?")


def picture_and_question(request: ChatRequest, judge: str) -> tuple[Path, str]:
    """The image's file and the question.

    Raises:
        ValueError: one of them is missing; names the judge.
    """
    message = request.messages[-1]
    images = [part.path for part in message.parts if isinstance(part, ImagePart)]
    questions = _QUESTION.findall(message.text)
    if not images or not questions:
        raise ValueError(f"{judge} needs one image and one question ending in '?'")
    return images[-1], questions[-1].strip()

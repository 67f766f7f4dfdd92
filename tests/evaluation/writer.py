"""A chat model that writes DSG's lines: a thing and its colour for prompts like `a red cube`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from selma_plugins.evaluation.writing.dsg_cases import DEPENDENCIES, QUESTIONS, TUPLES

from selma_core.data import ChatReply, ChatRequest

STEPS = {"tuples": TUPLES, "questions": QUESTIONS, "dependencies": DEPENDENCIES}


def step_of(text: str) -> str:
    """Which of the three calls a request is."""
    (found,) = (name for name, step in STEPS.items() if text.startswith(step.instruction))
    return found


def prompt_of(text: str) -> str:
    """The prompt that a request is about: the first line of its last case."""
    return text.rpartition("\n\ninput: ")[2].split("\n")[0]


def lines_for(text: str) -> str:
    """A good reply."""
    _, colour, thing = prompt_of(text).split()
    return {
        "tuples": f"1 | entity - whole ({thing})\n2 | attribute - color ({thing}, {colour})",
        "questions": f"1 | Is there a {thing}?\n2 | Is the {thing} {colour}?",
        "dependencies": "1 | 0\n2 | 1",
    }[step_of(text)]


class Writer:
    """Replies by `lines_for`, but where `spoil` (request text, how often it was asked before) gives another reply.

    `spoil` gives None for a good reply, "" for a failed call. Attributes: asked = all requests, in order.
    """

    identity = "fake:writer"

    def __init__(self, spoil: Callable[[str, int], str | None] = lambda text, before: None) -> None:
        self._spoil = spoil
        self.asked: list[ChatRequest] = []

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        return [self._one(request) for request in requests]

    def _one(self, request: ChatRequest) -> ChatReply:
        text = request.messages[-1].text
        found = self._spoil(text, self.texts.count(text))
        self.asked.append(request)
        if found is None:
            return ChatReply(text=lines_for(text))
        return ChatReply(text=found) if found else ChatReply(error="timed out")

    @property
    def texts(self) -> list[str]:
        """The texts of all requests so far."""
        return [request.messages[-1].text for request in self.asked]

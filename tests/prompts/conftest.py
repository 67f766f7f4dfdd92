"""A stage's context without the engine, and a chat model that writes by seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest
import yaml

from selma_core.data import ChatReply, ChatRequest, Entry
from selma_core.errors import UnknownNameError
from selma_core.options import Slot

WORDS = [
    *("red", "green", "blue", "old", "new", "cat", "dog", "tree", "lamp", "house"),
    *("river", "boat", "cup", "chair", "star", "cloud", "stone", "bread", "fox", "bell"),
]


class Writer:
    """Continues the list of a request with random lines that depend on its seed and on its whole text."""

    identity = "writer"

    def __init__(self, broken: Callable[[int], bool] = lambda call: False) -> None:
        self.requests: list[ChatRequest] = []
        self._broken = broken

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        start = len(self.requests)
        self.requests += requests
        return [self._one(r, self._broken(start + i)) for i, r in enumerate(requests)]

    def _one(self, request: ChatRequest, broken: bool) -> ChatReply:
        if broken:
            return ChatReply(error="the line is dead")
        rng = Random(f"{request.seed} {request.messages[0].text}")
        lines = [" ".join(rng.choices(WORDS, k=rng.randint(2, 6))) for _ in range(5)]
        return ChatReply(text="\n".join(f"{i}. {line}" for i, line in enumerate(lines, 4)))


class Says:
    """Gives the same replies in every round."""

    identity = "says"

    def __init__(self, *replies: str, truncated: bool = False) -> None:
        self._replies, self._truncated = replies, truncated

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        return [
            ChatReply(text=self._replies[i % len(self._replies)], truncated=self._truncated)
            for i in range(len(requests))
        ]


@attrs.define
class FakeContext:
    """Attributes: chat = what the slot `chat` names; components = prompt sources by name; warnings = what was said."""

    chat: Any = None
    seed: int = 0
    device: str = "cpu"
    workdir: Path = Path()
    components: dict[str, Any] = attrs.field(factory=dict)
    entries: dict[tuple[str, str], Entry] = attrs.field(factory=dict)
    warnings: list[str] = attrs.field(factory=list)
    moves: list[tuple[int, int, str]] = attrs.field(factory=list)

    def component(self, kind: str, slot: Slot) -> Any:
        return self.chat if kind == "chat_model" else self.components[slot.use]

    def entry(self, section: str, name: str) -> Entry:
        if section == "files":
            return Entry(section=section, name=name, provider="path", data={}, pin="", path=Path(name))
        if (section, name) not in self.entries:
            raise UnknownNameError(f"unknown {section} '{name}'")
        return self.entries[section, name]

    def progress(self, done: int, total: int, note: str = "") -> None:
        self.moves.append((done, total, note))

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def add(self, section: str, name: str, data: Mapping[str, Any], path: Path | None = None) -> None:
        self.entries[section, name] = Entry(section=section, name=name, provider="test", data=data, pin="0", path=path)


SKILL = {
    "summary": "odd things",
    "description": "captions of odd things",
    "rules": ["Be odd."],
    "max_words": 8,
    "seeds": ["a cup on a fox", "a bell in the river", "seven stones in a boat"],
}


@pytest.fixture
def context() -> FakeContext:
    found = FakeContext()
    found.add("skills", "odd", SKILL)
    return found


@pytest.fixture
def writer() -> type[Writer]:
    return Writer


@pytest.fixture
def says() -> type[Says]:
    return Says


@pytest.fixture
def bundled(root: Path) -> Callable[[str], dict[str, Entry]]:
    """The bundled entries of a section, by name."""

    def read(section: str) -> dict[str, Entry]:
        found = {}
        for file in sorted((root / "registry/selma_registry" / section).glob("*.yaml")):
            data = yaml.safe_load(file.read_text())
            found[file.stem] = Entry(
                section=section, name=file.stem, provider="selma", data=data, pin="0", path=file.parent
            )
        return found

    return read

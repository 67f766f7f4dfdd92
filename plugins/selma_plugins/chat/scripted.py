"""A chat model that says what it is told to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from selma_core.data import ChatReply, ChatRequest
from selma_core.errors import ArtifactError
from selma_core.protocols import Context
from selma_plugins.chat.options import ScriptedOptions


class Scripted:
    """Replies from `answers` (by text found in the last turn), else from `replies`, in order of the calls."""

    def __init__(self, options: ScriptedOptions) -> None:
        self._options = options
        self._answers = dict(options.answers)
        self._replies = list(options.replies)
        self._file = Path(options.file) if options.file else None
        self._loaded = False
        self._calls = 0
        self._used = 0

    @property
    def identity(self) -> str:
        """`scripted`."""
        return "scripted"

    def attach(self, context: Context) -> None:
        """Finds the file of replies through the registry."""
        if self._options.file:
            self._file = context.entry("files", self._options.file).path

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        """One reply per request; an error when the call shall fail or the script has ended."""
        self._load()
        return [self._one(request) for request in requests]

    def _one(self, request: ChatRequest) -> ChatReply:
        call = self._calls
        self._calls += 1
        if call in self._options.fail:
            return ChatReply(error=f"scripted: call {call} fails on demand")
        last = request.messages[-1].text
        for wanted, answer in self._answers.items():
            if wanted in last:
                return ChatReply(text=answer)
        return self._next()

    def _next(self) -> ChatReply:
        if self._options.repeat and self._replies:
            self._used %= len(self._replies)
        if self._used >= len(self._replies):
            return ChatReply(error=f"scripted: all {len(self._replies)} replies are used up")
        self._used += 1
        return ChatReply(text=self._replies[self._used - 1])

    def _load(self) -> None:
        if self._file is None or self._loaded:
            return
        self._loaded = True
        try:
            data = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ArtifactError(f"scripted: {self._file}: {error}") from error
        if isinstance(data, dict):
            self._answers |= {str(key): str(value) for key, value in data.items()}
        elif isinstance(data, list):
            self._replies += [str(text) for text in data]
        else:
            raise ArtifactError(f"scripted: {self._file}: must hold a list or a mapping of replies")

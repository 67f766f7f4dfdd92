"""A judge in an interpreter of its own: for models whose code no longer runs beside a current transformers.

The protocol. The command is started once, without a shell, in the folder the run was started in. It reads requests from
stdin and writes replies to stdout, one JSON object a line, UTF-8. Whatever it has to say besides goes to stderr.

A request, and its reply (or its failure):

    {"id": 7, "text": "Is there a dog?", "images": [{"path": "/abs/dog-0.png", "sha256": "9f86..."}], "choices": [],
     "max_tokens": 8, "temperature": 0.0, "seed": null, "stop": []}
    {"id": 7, "text": "yes"}
    {"id": 7, "error": "the image is too large"}

`text` is all text of the request, turns apart by an empty line. A reply may hold `choice_logprobs`, an object of
natural-log probabilities by choice, and `truncated`. Requests come one at a time, those on one image in a row, so that
a worker may keep what it computed of the last image. When stdin ends, the worker ends.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from selma_core.data import ChatReply, ChatRequest
from selma_core.errors import UserError
from selma_core.files import sha256_file
from selma_plugins.chat.continuation import as_text
from selma_plugins.judges.child import Child, ChildError
from selma_plugins.judges.options import JsonLinesOptions
from selma_plugins.judges.pictures import by_picture, pictures


class JsonLinesChat:
    """Starts the worker at the first request. One that dies or hangs is started anew; the request is an error reply."""

    def __init__(self, options: JsonLinesOptions) -> None:
        self._options = options
        self._child: Child | None = None
        self._sent = 0
        self._failed_starts = 0

    @property
    def identity(self) -> str:
        """The option `name`."""
        return self._options.name

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        """One reply per request, in order.

        Raises:
            UserError: the worker cannot be started, or ends again and again without one answer.
        """
        replies: dict[int, ChatReply] = {}
        digests: dict[Path, str] = {}
        for index in by_picture(requests):
            try:
                line = self._line(requests[index], digests)
            except OSError as error:
                replies[index] = self._error(f"cannot read the image {error.filename}: {error.strerror}")
                continue
            replies[index] = self._ask(line, requests[index])
        return [replies[index] for index in range(len(requests))]

    def _line(self, request: ChatRequest, digests: dict[Path, str]) -> dict[str, Any]:
        self._sent += 1
        for path in pictures(request):
            if path not in digests:
                digests[path] = sha256_file(path)
        return {
            "id": self._sent,
            "text": as_text(request),
            "images": [{"path": str(path.resolve()), "sha256": digests[path]} for path in pictures(request)],
            "choices": list(request.choices),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
            "stop": list(request.stop),
        }

    def _ask(self, line: dict[str, Any], request: ChatRequest) -> ChatReply:
        fresh = self._child is None
        child = self._child or self._start()
        limit = self._options.start_timeout if fresh else self._options.timeout
        try:
            answer = child.ask(json.dumps(line), limit)
        except ChildError as error:
            child.stop()
            self._child = None
            self._failed_starts += fresh
            if self._failed_starts > self._options.restarts:
                raise UserError(f"json_lines: {self.identity} never answers: {error}") from None
            return self._error(str(error))
        self._failed_starts = 0
        try:
            reply = _parse(answer, line["id"], request)
        except ValueError as error:
            child.stop()  # whatever it says next may belong to this request
            self._child = None
            return self._error(f"unreadable answer: {error}")
        return reply if reply.error is None else self._error(reply.error)

    def _start(self) -> Child:
        try:
            self._child = Child(self._options.command)
        except OSError as error:
            command = self._options.command[0]
            raise UserError(
                f"json_lines: cannot start '{command}': {error.strerror}; check the option command"
            ) from None
        return self._child

    def _error(self, line: str) -> ChatReply:
        return ChatReply(error=f"{self.identity}: {line}")


def _parse(answer: str, number: int, request: ChatRequest) -> ChatReply:
    """The reply in a worker's line.

    Raises:
        ValueError: it is none; one line that says why.
    """
    try:
        data = json.loads(answer)
    except ValueError:
        raise ValueError(f"no JSON: {answer[:80]!r}") from None
    if not isinstance(data, Mapping) or data.get("id") != number:
        raise ValueError(f"not the reply to request {number}: {answer[:80]!r}")
    if isinstance(data.get("error"), str):
        return ChatReply(error=" ".join(data["error"].split())[:300] or "the worker names no reason")
    if not isinstance(data.get("text"), str):
        raise ValueError(f"'text' must be a string: {answer[:80]!r}")
    return ChatReply(
        text=data["text"],
        choice_logprobs=_logprobs(data.get("choice_logprobs"), request.choices),
        truncated=data.get("truncated") is True,
    )


def _logprobs(found: Any, choices: Sequence[str]) -> dict[str, float] | None:
    if found is None or not choices:
        return None
    if not isinstance(found, Mapping) or set(found) != set(choices):
        raise ValueError("'choice_logprobs' must have one entry for each choice")
    values = {choice: found[choice] for choice in choices}
    for value in values.values():
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value) or value > 0:
            raise ValueError(f"'choice_logprobs' must hold natural-log probabilities, not {value!r}")
    return {choice: float(value) for choice, value in values.items()}

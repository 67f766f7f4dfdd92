"""A GGUF language model run by llama.cpp."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xllamacpp

from selma_core.data import ChatReply, ChatRequest
from selma_core.errors import ModelError
from selma_core.protocols import Context
from selma_core.seeds import derive_seed
from selma_plugins.chat.continuation import as_text, as_turns, has_images
from selma_plugins.chat.local import find_weights
from selma_plugins.chat.options import LlamaCppOptions
from selma_plugins.chat.wire import error_line, parse

TOP_TOKENS = 50
_ANY_SEED = 2**32 - 1  # llama.cpp reads this one as "take a random seed"
_QUIET = -1


class LlamaCppChat:
    """Answers one request after the other, each from a fresh state, so that no reply depends on another request."""

    def __init__(self, options: LlamaCppOptions) -> None:
        self._options = options
        self._context: Context | None = None
        self._server: Any = None
        self._chat = options.mode == "chat"

    @property
    def identity(self) -> str:
        """`llama_cpp:MODEL`."""
        return f"llama_cpp:{self._options.model}"

    def attach(self, context: Context) -> None:
        """Keeps the context for the model's entry and the device."""
        self._context = context

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        """One reply per request, in order.

        Raises:
            ModelError: the model cannot be had or read.
        """
        if self._server is None:
            self._load()
        return [self._one(request) for request in requests]

    def _load(self) -> None:
        weights = find_weights(self._options.model, "", self._context)
        if not weights.gguf:
            raise ModelError(f"llama_cpp reads GGUF files, and {weights.folder} holds none (or several)")
        path = weights.folder / weights.gguf
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise ModelError(f"{path} is not a GGUF file")
        try:
            self._server = xllamacpp.Server(self._parameters(path))
        except RuntimeError as error:
            raise ModelError(f"llama_cpp cannot load {path}: {error}") from error
        self._chat = self._options.mode == "chat" or (self._options.mode == "auto" and self._has_template(path))

    def _parameters(self, path: Path) -> Any:
        found = xllamacpp.CommonParams()
        found.model.path = str(path)
        found.n_ctx = self._options.context
        found.n_parallel = 1
        found.verbosity = _QUIET
        found.warmup = False
        found.n_gpu_layers = 0 if self._context is None or self._context.device == "cpu" else -1
        threads = self._options.threads or int(os.environ.get("OMP_NUM_THREADS") or 0)
        if threads:
            found.cpuparams.n_threads = threads
            found.cpuparams_batch.n_threads = threads
        return found

    @staticmethod
    def _has_template(path: Path) -> bool:
        """Whether the file's header holds a chat template (it comes before the tensors)."""
        with path.open("rb") as file:
            return b"tokenizer.chat_template" in file.read(32 * 2**20)

    def _one(self, request: ChatRequest) -> ChatReply:
        if has_images(request):
            return ChatReply(error=f"{self.identity} reads text only, no images")
        body = self._body(request)
        call = self._server.handle_chat_completions if self._chat else self._server.handle_completions
        answer = call(body)
        if "error" in answer:
            return ChatReply(error=f"{self.identity}: {error_line(answer)[1]}")
        try:
            return parse(answer, request)
        except ValueError as error:
            return ChatReply(error=f"{self.identity}: {error}")

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        seed = request.seed if request.seed is not None else derive_seed("chat", as_text(request))
        body: dict[str, Any] = {
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": seed % _ANY_SEED,
            "top_p": self._options.top_p,
            "top_k": self._options.top_k,
            "min_p": 0.0,
            "cache_prompt": False,  # a reused prefix changes rounding, and with it, now and then, a token
        }
        if self._chat:
            body["messages"] = as_turns(request)
        else:
            body["prompt"] = as_text(request)
        if request.stop:
            body["stop"] = list(request.stop)
        if request.choices and self._chat:
            body |= {"logprobs": True, "top_logprobs": TOP_TOKENS}
        elif request.choices:
            body["logprobs"] = TOP_TOKENS
        return body

"""A language model on this machine, run by transformers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from selma_core.data import ChatReply, ChatRequest
from selma_core.errors import MissingExtraError, ModelError
from selma_core.pool import borrow
from selma_core.protocols import Context
from selma_core.seeds import derive_seed
from selma_plugins.chat.choices import from_top_tokens
from selma_plugins.chat.continuation import as_text, as_turns, before_stop, has_images
from selma_plugins.chat.local import Weights, find_weights
from selma_plugins.chat.options import TransformersOptions
from selma_plugins.chat.sampling import Row, Sampler, write

TOP_TOKENS = 100  # first tokens looked through for the choices


class TransformersChat:
    """Batches requests, padded on the left. Every request draws from its own random stream, seeded by `request.seed`.

    The weights are loaded at the first reply, never remote code, never pickled files; all who name them share them.
    """

    def __init__(self, options: TransformersOptions) -> None:
        self._options = options
        self._context: Context | None = None
        self._model: Any = None
        self._tokenizer: Any = None

    @property
    def identity(self) -> str:
        """`transformers:MODEL`."""
        return f"transformers:{self._options.model}"

    def attach(self, context: Context) -> None:
        """Keeps the context for the model's entry and the device."""
        self._context = context

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        """One reply per request, in order.

        Raises:
            ModelError: the model cannot be had or read.
        """
        if self._model is None:
            weights = find_weights(self._options.model, self._options.gguf_file, self._context)
            key = weights.key("transformers:AutoModelForCausalLM", self._options.dtype, self._device)
            self._model, self._tokenizer = borrow(self._context, key, lambda: self._load(weights), self)
        size = self._options.batch_size
        replies: list[ChatReply] = []
        for start in range(0, len(requests), size):
            replies += self._batch(requests[start : start + size])
        return replies

    @property
    def _device(self) -> str:
        return self._context.device if self._context else "cpu"

    def _load(self, weights: Weights) -> tuple[Any, Any]:
        """(model, tokenizer), on the device."""
        if weights.gguf and importlib.util.find_spec("gguf") is None:
            raise MissingExtraError("reading a GGUF file needs gguf; type: pip install 'selma[gguf]'")
        where: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
        if weights.gguf:
            where["gguf_file"] = weights.gguf
        try:
            tokenizer = AutoTokenizer.from_pretrained(weights.folder, **where)
            model = AutoModelForCausalLM.from_pretrained(
                weights.folder, dtype=self._dtype(weights), use_safetensors=True, **where
            )
        except (OSError, ValueError, KeyError) as error:
            line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ModelError(f"cannot read the language model {self._options.model}: {line}") from error
        return model.to(self._device).eval(), tokenizer

    def _dtype(self, weights: Weights) -> Any:
        if self._options.dtype != "auto":
            return getattr(torch, self._options.dtype)
        return torch.float32 if self._device == "cpu" or weights.gguf else "auto"

    def _batch(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        replies: list[ChatReply | None] = [self._impossible(request) for request in requests]
        rows = {i: self._row(r) for i, (r, bad) in enumerate(zip(requests, replies, strict=True)) if bad is None}
        if rows:
            sampler = Sampler(top_p=self._options.top_p, top_k=self._options.top_k, ends=self._ends())
            write(self._model, list(rows.values()), sampler, self._pad(), self._device, top=TOP_TOKENS)
        return [reply or self._finish(requests[i], rows[i]) for i, reply in enumerate(replies)]

    def _impossible(self, request: ChatRequest) -> ChatReply | None:
        if has_images(request):
            return ChatReply(error=f"{self.identity} reads text only, no images")
        room = getattr(self._model.config, "max_position_embeddings", None)
        needed = len(self._tokens(request)) + request.max_tokens
        if room is not None and needed > room:
            return ChatReply(error=f"{self.identity} takes {room} tokens; request and reply need {needed}")
        return None

    def _tokens(self, request: ChatRequest) -> list[int]:
        mode = self._options.mode
        if mode == "chat" or (mode == "auto" and self._tokenizer.chat_template):
            text = self._tokenizer.apply_chat_template(as_turns(request), tokenize=False, add_generation_prompt=True)
            return list(self._tokenizer(text, add_special_tokens=False).input_ids)
        return list(self._tokenizer(as_text(request)).input_ids)

    def _row(self, request: ChatRequest) -> Row:
        prompt = self._tokens(request)
        seed = request.seed if request.seed is not None else derive_seed("chat", as_text(request))
        generator = torch.Generator().manual_seed(seed)
        return Row(
            prompt=prompt,
            limit=request.max_tokens,
            temperature=request.temperature,
            generator=generator,
            stops=self._stops(request) if request.stop else None,
        )

    def _stops(self, request: ChatRequest) -> Callable[[list[int]], bool]:
        # Every token holds at least one byte, so the last bytes of a stop lie within as many tokens.
        window = max(len(stop.encode()) for stop in request.stop) + 1

        def stopped(tokens: list[int]) -> bool:
            tail = self._tokenizer.decode(tokens[-window:], skip_special_tokens=True)
            return any(stop in tail for stop in request.stop)

        return stopped

    def _finish(self, request: ChatRequest, row: Row) -> ChatReply:
        scores = None
        if request.choices:
            scores = from_top_tokens([(self._tokenizer.decode([i]), v) for i, v in row.top], request.choices)
        text = before_stop(self._tokenizer.decode(row.tokens, skip_special_tokens=True), request.stop)
        return ChatReply(text=text, choice_logprobs=scores, truncated=not row.done)

    def _ends(self) -> frozenset[int]:
        found = self._model.generation_config.eos_token_id
        ids = found if isinstance(found, list) else [found]
        return frozenset(i for i in [*ids, self._tokenizer.eos_token_id] if i is not None)

    def _pad(self) -> int:
        return int(next(i for i in (self._tokenizer.pad_token_id, self._tokenizer.eos_token_id, 0) if i is not None))

"""What the vision-language judges share: grouping by image, batches, seeds, replies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import attrs
import torch
from PIL.Image import Image
from torch import Tensor

from selma_core.data import ChatReply, ChatRequest
from selma_core.pool import borrow
from selma_core.protocols import Context
from selma_core.seeds import derive_seed
from selma_plugins.chat.continuation import as_text, before_stop
from selma_plugins.chat.local import find_weights
from selma_plugins.judges.loading import Loaded, load
from selma_plugins.judges.options import VisionOptions
from selma_plugins.judges.pictures import by_picture, read_picture

Opts = TypeVar("Opts", bound=VisionOptions)


@attrs.frozen(kw_only=True)
class Ask:
    """One request made ready. Attributes: index = its place; inputs = what the model takes for it alone."""

    index: int
    request: ChatRequest
    inputs: Any


@attrs.frozen(kw_only=True)
class Written:
    """What a model wrote. Attributes: tokens = ids per request, ends included; first = logits [B, V] of the first."""

    tokens: list[list[int]]
    first: Tensor


class VisionChat(ABC, Generic[Opts]):
    """Answers batch by batch, requests on one image together. A reply depends on its own request only.

    Greedy replies may differ between batch sizes by float rounding; requests with a temperature run one by one, each
    with its own random stream. A request that the model cannot take, or whose image cannot be read, is an error reply.
    """

    name: ClassVar[str]
    model_class: ClassVar[str]
    types: ClassVar[tuple[str, ...]] = ()
    whole_first: ClassVar[bool] = False

    def __init__(self, options: Opts) -> None:
        self._options = options
        self._context: Context | None = None
        self._loaded: Loaded | None = None
        self._last: tuple[Path, Image] | None = None

    @property
    def identity(self) -> str:
        """`NAME:MODEL`."""
        return f"{self.name}:{self._options.model}"

    def attach(self, context: Context) -> None:
        """Keeps the context for the model's entry, the device and the models that are loaded already."""
        self._context = context

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        """One reply per request, in order.

        Raises:
            ModelError: the model cannot be had or read.
        """
        if self._loaded is None:
            self._loaded = self._borrow()
        replies: dict[int, ChatReply] = {}
        for part in self._batches(requests, replies):
            written = self._write(self._loaded, part)
            for row, ask in enumerate(part):
                replies[ask.index] = self._finish(self._loaded, ask.request, written.tokens[row], written.first[row])
        self._forget()
        return [replies[index] for index in range(len(requests))]

    @abstractmethod
    def _prepare(self, loaded: Loaded, request: ChatRequest) -> Any:
        """The inputs of one request.

        Raises:
            ValueError: the model cannot answer it; one line.
        """

    @abstractmethod
    def _generate(self, loaded: Loaded, asks: Sequence[Ask], settings: dict[str, Any]) -> Written:
        """Writes the replies of a batch; `settings` go to `generate`."""

    def _search(self, request: ChatRequest) -> dict[str, Any]:
        """How to search when nothing is drawn at random."""
        return {"num_beams": 1, "repetition_penalty": 1.0}

    def _apart(self, ask: Ask) -> int:
        """Requests with different numbers are never in one batch."""
        return 0

    def _kind(self, ask: Ask) -> tuple[int, int, int]:
        # A drawn reply has a random stream of its own. Beams of a batch are searched until the last one is done, which
        # may change the others; a beam search is a batch by itself anyway.
        alone = ask.request.temperature > 0 or self._search(ask.request)["num_beams"] > 1
        return ask.request.max_tokens, self._apart(ask), ask.index + 1 if alone else 0

    def _kinds(self, asks: Sequence[Ask]) -> Iterator[list[Ask]]:
        return (list(group) for _, group in groupby(sorted(asks, key=self._kind), key=self._kind))

    def _ends(self, loaded: Loaded) -> frozenset[int]:
        found = loaded.model.generation_config.eos_token_id
        ids = found if isinstance(found, list) else [found]
        return frozenset(i for i in [*ids, loaded.tokenizer.eos_token_id] if i is not None)

    def _open(self, path: Path) -> Image:
        """A picture, read once for all requests on it.

        Raises:
            ValueError: it cannot be read.
        """
        if self._last is None or self._last[0] != path:
            self._last = path, read_picture(path)
        return self._last[1]

    def _forget(self) -> None:
        """Called after the last batch of a call: until the next one, files may change."""
        self._last = None

    @property
    def _device(self) -> str:
        return self._context.device if self._context else "cpu"

    def _borrow(self) -> Loaded:
        options = self._options
        weights = find_weights(options.model, "", self._context)
        key = weights.key(f"transformers:{self.model_class}+processor", options.dtype, self._device)

        def loading() -> Loaded:
            return load(weights.folder, self.model_class, self.types, options.dtype, self._device)

        found: Loaded = borrow(self._context, key, loading, self)
        return found

    def _batches(self, requests: Sequence[ChatRequest], replies: dict[int, ChatReply]) -> Iterator[list[Ask]]:
        """Batches of one kind each. Inputs are made when they are due: a thousand images would not fit in memory."""
        assert self._loaded is not None
        waiting: list[Ask] = []
        for index in by_picture(requests):
            try:
                inputs = self._prepare(self._loaded, requests[index])
            except ValueError as error:
                line = " ".join(str(error).split())
                replies[index] = ChatReply(error=f"{self.identity}: {line}")
                continue
            waiting.append(Ask(index=index, request=requests[index], inputs=inputs))
            if len(waiting) == self._options.batch_size:
                yield from self._kinds(waiting)
                waiting = []
        yield from self._kinds(waiting)

    @torch.inference_mode()
    def _write(self, loaded: Loaded, asks: Sequence[Ask]) -> Written:
        request = asks[0].request
        settings = {
            "max_new_tokens": request.max_tokens,
            "eos_token_id": sorted(self._ends(loaded)),
            "pad_token_id": _pad(loaded),
        }
        if request.temperature <= 0:
            return self._generate(loaded, asks, settings | {"do_sample": False} | self._search(request))
        plain = {"num_beams": 1, "repetition_penalty": 1.0, "top_p": 1.0, "top_k": 0}
        drawing = {"do_sample": True, "temperature": request.temperature}
        seed = request.seed if request.seed is not None else derive_seed("chat", as_text(request))
        with torch.random.fork_rng(enabled=True):
            torch.manual_seed(seed)
            return self._generate(loaded, asks, settings | plain | drawing)

    def _finish(self, loaded: Loaded, request: ChatRequest, tokens: Sequence[int], first: Tensor) -> ChatReply:
        ends = self._ends(loaded)
        at = next((place for place, token in enumerate(tokens) if token in ends), len(tokens))
        whole = loaded.tokenizer.decode(tokens[:at], skip_special_tokens=True).strip()
        text = before_stop(whole, request.stop)
        scores = None
        if request.choices:
            scores = loaded.first.logprobs(first, request.choices, whole=self.whole_first)
        return ChatReply(text=text, choice_logprobs=scores, truncated=at == len(tokens) and text == whole)


def _pad(loaded: Loaded) -> int:
    known = (loaded.tokenizer.pad_token_id, loaded.tokenizer.eos_token_id, 0)
    return int(next(i for i in known if i is not None))

"""`shapes_vqa` behind the chat-model contract: an ordinary judge for any evaluator that asks yes/no questions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from selma_core.data import ChatReply, ChatRequest
from selma_core.errors import ModelError
from selma_core.protocols import Context
from selma_plugins.shapes.asked import picture_and_question
from selma_plugins.shapes.scene import CANVAS
from selma_plugins.shapes.train.vae import to_tensor
from selma_plugins.shapes.vqa.network import VqaNet, encode, load_net, padded
from selma_plugins.shapes.vqa.options import VqaOptions

_ANSWERS = ("yes", "no")


class ShapesVqa:
    """Answers the last question of the last message about its last image: the likelier of yes and no.

    The weights are loaded at the first reply. A picture is read once for all of its questions in a call, and an answer
    depends on its own picture and question only, but for rounding.
    """

    identity = "shapes_vqa"

    def __init__(self, options: VqaOptions) -> None:
        self._options = options
        self._context: Context | None = None
        self._net: VqaNet | None = None

    def attach(self, context: Context) -> None:
        """Keeps the context for the model's entry."""
        self._context = context

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        """One reply per request; an unreadable question or a missing image is an error, not an answer.

        Raises:
            ModelError: the weights cannot be had or read.
        """
        net = self._net = self._net or self._load()
        replies: list[ChatReply | None] = [None] * len(requests)
        asked: dict[Path, list[tuple[int, list[int]]]] = {}
        for index, request in enumerate(requests):
            try:
                path, question = picture_and_question(request, self.identity)
                asked.setdefault(path, []).append((index, encode(question)))
            except ValueError as error:
                replies[index] = ChatReply(error=str(error))
        paths = list(asked)
        for start in range(0, len(paths), self._options.batch_size):
            part = {path: asked[path] for path in paths[start : start + self._options.batch_size]}
            for index, found in _answers(net, part).items():
                replies[index] = _reply(found, requests[index]) if isinstance(found, float) else found
        return [reply or ChatReply(error="shapes_vqa: no answer") for reply in replies]

    def _load(self) -> VqaNet:
        name = self._options.model
        path = Path(name) if self._context is None else self._context.entry("models", name).path
        if path is None:
            raise ModelError(f"model '{name}' has no folder on this machine; type: selma models fetch {name}")
        try:
            return load_net(path)
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"shapes_vqa cannot read the model folder {path}: {error}") from error


@torch.no_grad()
def _answers(net: VqaNet, asked: dict[Path, list[tuple[int, list[int]]]]) -> dict[int, float | ChatReply]:
    """Index of the request -> logit of yes, or what went wrong with the picture."""
    found: dict[int, float | ChatReply] = {}
    pictures, rows = [], []
    for path, questions in asked.items():
        try:
            pictures.append(open_pixels(path))
            rows.append(questions)
        except OSError as error:
            found |= {index: ChatReply(error=f"shapes_vqa: {error}") for index, _ in questions}
    if not rows:
        return found
    features = net.body(to_tensor(np.stack(pictures)))
    for number, row in enumerate(rows):
        logits = net.meet(features[number : number + 1], padded([words for _, words in row])[None]).answers
        found |= {index: float(logit) for (index, _), logit in zip(row, logits[0], strict=True)}
    return found


def _reply(logit: float, request: ChatRequest) -> ChatReply:
    chances = dict(zip(_ANSWERS, F.logsigmoid(torch.tensor([logit, -logit])).tolist(), strict=True))
    wanted = {choice: chances.get(choice.strip().lower()) for choice in request.choices}
    known = {choice: value for choice, value in wanted.items() if value is not None}
    # Of other answers than yes and no it knows nothing.
    logprobs = known if request.choices and len(known) == len(wanted) else None
    return ChatReply(text="yes" if logit > 0 else "no", choice_logprobs=logprobs)


def open_pixels(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """[64, 64, 3], as the network sees an image file."""
    with Image.open(path) as image:
        rgb = image.convert("RGB")
        return np.asarray(rgb if rgb.size == (CANVAS, CANVAS) else rgb.resize((CANVAS,) * 2, Image.Resampling.BOX))

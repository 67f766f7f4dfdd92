"""Asking a judge about images in batches: one row per image, all its questions together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import attrs

from selma_core.data import Atom, ChatReply, ChatRequest, ImageItem, ItemAtoms
from selma_core.errors import StageError
from selma_core.protocols import ChatModel


@attrs.frozen(kw_only=True)
class Asked:
    """One question about one image. Attributes: key, data = of the atom that the reply becomes."""

    key: str
    request: ChatRequest
    data: Mapping[str, Any] = attrs.field(factory=dict)


def replies(judge: ChatModel, requests: Sequence[ChatRequest]) -> list[ChatReply]:
    """The judge's replies.

    Raises:
        StageError: it did not answer every request.
    """
    if not requests:
        return []
    found = judge.reply(requests)
    if len(found) != len(requests):
        raise StageError(f"chat model '{judge.identity}' gave {len(found)} replies to {len(requests)} requests")
    return found


def ask(
    judge: ChatModel,
    items: Sequence[ImageItem],
    questions: Callable[[ImageItem], Sequence[Asked]],
    atom: Callable[[Asked, ChatReply], Atom],
    batch: int,
) -> Iterator[ItemAtoms]:
    """One row of atoms per image; the questions of `batch` images go to the judge in one call."""
    for start in range(0, len(items), batch):
        part = items[start : start + batch]
        asked = [questions(item) for item in part]
        answers = iter(replies(judge, [one.request for one in chain.from_iterable(asked)]))
        for item, mine in zip(part, asked, strict=True):
            atoms = tuple(atom(one, next(answers)) for one in mine)
            yield ItemAtoms(item_id=item.item_id, prompt_id=item.prompt.id, k=item.k, atoms=atoms)

"""Decompositions of expert sets that further weights use again, in one process and up to a size.

The key is the layer's name, the experts' ids and a checksum of the factors, so tensors read again from a file are
found. Nothing is thrown out to make room: a sweep asks for all layers in the same order each time, where the usual rule
would never find anything.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol, TypeVar

from selma_core.merging.algebra import present
from selma_core.protocols import Factors, LayerJob

_LOCK = threading.Lock()
_KEPT: dict[Hashable, Sized] = {}


class Sized(Protocol):
    """What can be kept."""

    @property
    def size(self) -> int:
        """Bytes held."""


S = TypeVar("S", bound=Sized)


def decomposed(job: LayerJob, make: Callable[[Sequence[Factors]], S | None], limit: int) -> S | None:
    """What `make` makes of the experts that have the layer.

    Args:
        limit: results are kept while all that is kept takes at most so many bytes; 0 keeps none.
    """
    parts = [part for _, part in present(job)]
    if limit <= 0:
        return make(parts)
    key = (make.__qualname__, job.name, job.expert_ids, *map(_content, parts))
    found: Any = _KEPT.get(key)
    if found is not None:
        return found  # type: ignore[no-any-return]
    made = make(parts)
    if made is not None:
        with _LOCK:
            if held() + made.size <= limit:
                _KEPT[key] = made
    return made


def held() -> int:
    """Bytes of all that is kept."""
    return sum(each.size for each in list(_KEPT.values()))


def clear() -> None:
    """Frees it."""
    with _LOCK:
        _KEPT.clear()


def _content(part: Factors) -> Hashable:
    # The ids say which experts these are; the checksum is for callers whose ids do not change with the tensors.
    tensors = (part.up.contiguous(), part.down.contiguous())
    return tuple((tuple(t.shape), t.dtype, zlib.crc32(t.numpy().data)) for t in tensors)

"""Decompositions of expert sets that further weights use again, in one process and up to a size.

The key is the content of the factors, so equal tensors read again from a file are found. Nothing is thrown out to
make room: a sweep asks for all layers in the same order each time, where the usual rule would never find anything.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence

from selma_core.protocols import Factors
from selma_plugins.merging.stacked import Stack

_LOCK = threading.Lock()
_STACKS: dict[bytes, Stack] = {}


def stack_of(parts: Sequence[Factors], limit: int) -> Stack:
    """The stack of a layer's experts: kept ones are found again, new ones kept while all take at most `limit` bytes."""
    if limit <= 0:
        return Stack.of(parts)
    key = _content(parts)
    found = _STACKS.get(key)
    if found is not None:
        return found
    stack = Stack.of(parts)
    with _LOCK:
        if held() + stack.size <= limit:
            _STACKS[key] = stack
    return stack


def held() -> int:
    """Bytes of all kept stacks."""
    return sum(stack.size for stack in list(_STACKS.values()))


def clear() -> None:
    """Frees them."""
    with _LOCK:
        _STACKS.clear()


def _content(parts: Sequence[Factors]) -> bytes:
    digest = hashlib.sha1(usedforsecurity=False)
    for part in parts:
        for tensor in (part.up, part.down):
            digest.update(repr((tuple(tensor.shape), tensor.dtype)).encode())
            digest.update(tensor.contiguous().numpy().data)
    return digest.digest()

"""Loaded models, shared: whoever names the same weights in one process gets the same object.

A plugin asks its context: `context.model(key, load)`. The rest of this module is what the core does with it.
"""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from selma_core.protocols import Context

Load = Callable[[], Any]


@attrs.frozen(kw_only=True)
class ModelKey:
    """What makes two loaded models the same one.

    Attributes:
        loader: who loads it, and as what class (`transformers:Blip2ForConditionalGeneration`); two loaders that give
            different objects must have different names here.
        pin: of the weights: `Entry.pin` (a hub commit or a digest of files), and the file within, where there are many.
        dtype: as the plugin's option says it (`auto`, `float32`). device: a torch device string.
    """

    loader: str
    pin: str
    dtype: str = "auto"
    device: str = "cpu"


@attrs.define(eq=False)
class _Held:
    model: Any
    references: int = 0


class Lease:
    """The right to use a model. Attributes: model = what was loaded; gone after `release`."""

    def __init__(self, pool: ModelPool, key: ModelKey, model: Any) -> None:
        self.model = model
        self._end = weakref.finalize(self, pool.give_back, key)

    def release(self) -> None:
        """Gives the model back; a second call does nothing. A lease that is forgotten releases itself."""
        self.model = None
        self._end()


class ModelPool:
    """Reference-counted models. One that nobody holds stays until another has to be loaded or `trim` is called."""

    def __init__(self) -> None:
        self._held: dict[ModelKey, _Held] = {}
        # One lock for loading too: two models loaded side by side would only double the peak of memory. It can be
        # taken again, because a garbage collection within it may end a forgotten lease.
        self._lock = threading.RLock()

    def acquire(self, key: ModelKey, load: Load) -> Lease:
        """The model of `key`, loaded by `load` unless it is here; idle models are freed before anything is loaded.

        Raises:
            Whatever `load` raises; then nothing is kept.
        """
        with self._lock:
            if key not in self._held:
                self.trim()
                self._held[key] = _Held(load())
            held = self._held[key]
            held.references += 1
            return Lease(self, key, held.model)

    def give_back(self, key: ModelKey) -> None:
        """One reference less; what `Lease.release` calls."""
        with self._lock:
            self._held[key].references -= 1

    def trim(self) -> int:
        """Frees every model that nobody holds; returns how many."""
        with self._lock:
            idle = [key for key, held in self._held.items() if not held.references]
            for key in idle:
                del self._held[key]
        if idle:
            _free_memory()
        return len(idle)

    def loaded(self) -> dict[ModelKey, int]:
        """What is in memory -> how many hold it; 0 means idle."""
        with self._lock:
            return {key: held.references for key, held in self._held.items()}


@lru_cache(maxsize=1)
def process_pool() -> ModelPool:
    """The pool of this process: memory belongs to the process, so all its stages share one."""
    return ModelPool()


def borrow(context: Context | None, key: ModelKey, load: Load, owner: object) -> Any:
    """`context.model(key, load)`; without a context (plain Python use) it is held as long as `owner` lives."""
    if context is not None:
        return context.model(key, load)
    lease = process_pool().acquire(key, load)
    weakref.finalize(owner, lease.release)
    return lease.model


def _free_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()

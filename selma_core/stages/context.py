"""The `Context` that a running stage gets."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from selma_core.artifacts.scorer import check_scorer, read_scorer_card
from selma_core.config import bind_options
from selma_core.data import Entry
from selma_core.errors import StageError
from selma_core.graph.fingerprint import canonical
from selma_core.offers import Offer, reward_of
from selma_core.options import Slot
from selma_core.pool import Lease, Load, ModelKey, process_pool
from selma_core.protocols import Attachable, Reward
from selma_core.stages.threads import TorchThreads

if TYPE_CHECKING:
    from selma_core.catalog import Catalog
    from selma_core.registry import Registry
    from selma_core.stages.task import Input

# Ten updates a second are more than an eye follows; a bar must not cost what it measures.
_INTERVAL = 0.1


@attrs.define(kw_only=True)
class StageContext:
    """Implements `selma_core.protocols.Context` for one stage.

    Attributes:
        seed: the run seed. workdir: the scratch folder.
        wanted_device: `auto`, or a torch device string.
        report: gets progress and warning events as JSON.
        scorer_input: the artifact at the port `scorer`, or None.
        warnings: what `warn` was called with, each line once, for the manifest.
    """

    seed: int
    workdir: Path
    catalog: Catalog
    registry: Registry
    report: Callable[[Mapping[str, Any]], None]
    wanted_device: str = "auto"
    threads: TorchThreads = attrs.field(factory=TorchThreads)
    scorer_input: Input | None = None
    warnings: list[str] = attrs.field(factory=list, init=False)
    _built: dict[str, Any] = attrs.field(factory=dict, init=False)
    _leases: dict[ModelKey, Lease] = attrs.field(factory=dict, init=False)
    _last: float = attrs.field(default=-1e9, init=False)

    @property
    def device(self) -> str:
        """A torch device string; `auto` is the first GPU, else the CPU."""
        if self.wanted_device != "auto":
            return self.wanted_device
        import torch

        self.threads.apply()
        return "cuda" if torch.cuda.is_available() else "cpu"

    def component(self, kind: str, slot: Slot) -> Any:
        """The implementation that a `Slot` option names; built once per stage, then shared."""
        return self._build(kind, slot, self.catalog.find(kind, slot.use))

    def reward(self, slot: Slot) -> Reward:
        """The reward of the evaluator that a `Slot` option names; built once per stage, then shared."""
        offer = reward_of(self.catalog.find("evaluator", slot.use), self.catalog.offers("evaluator"))
        built: Reward = self._build("reward", slot, offer)
        return built

    def _build(self, kind: str, slot: Slot, offer: Offer) -> Any:
        key = canonical([kind, slot.use, slot.options])
        if key not in self._built:
            options = bind_options(
                offer, slot.options, path=slot.use, origins={}, catalog=self.catalog, registry=self.registry
            )
            built = self.catalog.build(offer, options)
            self.threads.apply()
            if isinstance(built, Attachable):
                built.attach(self)
            self._built[key] = built
        return self._built[key]

    def entry(self, section: str, name: str) -> Entry:
        """The registry entry that an `entry` option names, with its files on this machine."""
        return self.registry.entry(section, name, need_files=True)

    def scorer(self) -> Entry:
        """The scorer at the port `scorer` as the entry of a model."""
        found = self.scorer_input
        if found is None:
            raise StageError("nothing is at the port 'scorer'; let a stage of kind scorer_trainer be read there")
        check_scorer(found.folder)
        return Entry(
            section="models",
            name="scorer",
            provider="stage",
            data=read_scorer_card(found.folder),
            pin=f"stage:{found.fingerprint}",
            path=found.folder,
        )

    def model(self, key: ModelKey, load: Load) -> Any:
        """The shared model of `key`, held until `close`."""
        if key not in self._leases:
            self._leases[key] = process_pool().acquire(key, load)
        self.threads.apply()  # loading may have imported torch
        return self._leases[key].model

    def close(self) -> None:
        """Ends the stage: its models are given back, its components forgotten."""
        for lease in self._leases.values():
            lease.release()
        self._leases.clear()
        self._built.clear()

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Reports progress, at most ten times a second; the last step is always reported."""
        now = time.monotonic()
        if done >= total or now - self._last >= _INTERVAL:
            self._last = now
            self.report({"event": "progress", "done": done, "total": total, "note": note})

    def warn(self, message: str) -> None:
        """Reports a line and keeps it for the manifest; the same line counts once."""
        line = " ".join(message.split())
        if line not in self.warnings:
            self.warnings.append(line)
            self.report({"event": "warning", "message": line})

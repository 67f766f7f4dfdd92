"""The `runtime` section of a recipe: how to run, never what comes out. It enters no fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from selma_core.config import bind_options
from selma_core.errors import ConfigErrors, UserError
from selma_core.graph.problems import Problems
from selma_core.options import Slot

if TYPE_CHECKING:
    from selma_core.catalog import Catalog
    from selma_core.config import Recipe
    from selma_core.protocols import Executor
    from selma_core.registry import Registry


@attrs.frozen(kw_only=True)
class Runtime:
    """How to run.

    Attributes:
        executor: which one. trackers: name -> tracker plugin.
        device: `auto` or a torch device string. threads: of torch, the same in every process.
    """

    executor: Slot
    trackers: Mapping[str, Slot] = attrs.field(factory=dict)
    device: str = "auto"
    threads: int = 1

    def build_executor(self, catalog: Catalog, registry: Registry) -> Executor:
        """The executor."""
        built: Executor = _build("executor", self.executor, "runtime.executor", catalog, registry)
        return built

    def build_trackers(self, catalog: Catalog, registry: Registry) -> dict[str, Any]:
        """Name -> tracker."""
        return {
            name: _build("tracker", slot, f"runtime.trackers.{name}", catalog, registry)
            for name, slot in self.trackers.items()
        }


def read_runtime(recipe: Recipe, catalog: Catalog, registry: Registry, problems: Problems) -> Runtime:
    """Reads and checks the section; every mistake is noted, and then the result is not to be used."""
    data: Mapping[str, Any] = recipe.data.get("runtime") or {}
    trackers = data.get("trackers") or {}
    if not isinstance(trackers, Mapping):
        problems.add("runtime.trackers", f"must be a mapping name -> tracker, not {trackers!r}")
        trackers = {}
    slots = {"runtime.executor": ("executor", _slot(data.get("executor") or "inline"))}
    slots |= {f"runtime.trackers.{name}": ("tracker", _slot(slot)) for name, slot in trackers.items()}
    for path, (kind, slot) in slots.items():
        _check_slot(kind, slot, path, recipe, catalog, registry, problems)
    device = data.get("device") or "auto"
    if not isinstance(device, str):
        problems.add("runtime.device", f"must be 'auto' or a torch device such as 'cuda:1', not {device!r}")
    return Runtime(
        executor=slots["runtime.executor"][1],
        trackers={name: slots[f"runtime.trackers.{name}"][1] for name in trackers},
        device=device,
        threads=data.get("threads") or 1,
    )


def _slot(value: Any) -> Slot:
    if isinstance(value, Mapping):
        return Slot(str(value.get("use") or ""), dict(value.get("options") or {}))
    return Slot(str(value))


def _check_slot(
    kind: str, slot: Slot, path: str, recipe: Recipe, catalog: Catalog, registry: Registry, problems: Problems
) -> None:
    try:
        offer = catalog.find(kind, slot.use)
        bind_options(
            offer, slot.options, path=f"{path}.options", origins=recipe.origins, catalog=catalog, registry=registry
        )
    except ConfigErrors as errors:
        problems.extend(errors.errors)
    except UserError as error:
        problems.add(f"{path}.use", str(error))


def _build(kind: str, slot: Slot, path: str, catalog: Catalog, registry: Registry) -> Any:
    offer = catalog.find(kind, slot.use)
    options = bind_options(offer, slot.options, path=f"{path}.options", origins={}, catalog=catalog, registry=registry)
    return catalog.build(offer, options)

"""Ports that a stage's options make it need: a reward may be the model that another stage trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from selma_core.config import bind_options
from selma_core.options import Reading, Slot, info

if TYPE_CHECKING:
    from selma_core.catalog import Catalog
    from selma_core.graph.drafts import Draft
    from selma_core.graph.problems import Problems
    from selma_core.registry import Registry

SCORER = "scorer"


def check_needed(draft: Draft, bound: Any, catalog: Catalog, registry: Registry, problems: Problems) -> None:
    """Notes ports that the options need and that read nothing; and a scorer that none of them asks for.

    Args: bound = the stage's options, as an instance of their class.
    """
    path = f"{draft.path}.from"
    needed = dict(_needed(bound, catalog, registry))
    for port, why in needed.items():
        if not draft.reads.get(port):
            problems.add(path, f"'{port}' is missing: {why}")
    if draft.reads.get(SCORER) and SCORER not in needed:
        problems.add(
            f"{path}.{SCORER}", f"nothing in '{draft.use}' uses it", "set model: '' of the evaluator that is to use it"
        )


def _needed(bound: Any, catalog: Catalog, registry: Registry) -> Iterator[tuple[str, str]]:
    if isinstance(bound, Reading) and callable(bound.needed_ports):  # an option may be called so too
        yield from bound.needed_ports().items()
    for field in attrs.fields(type(bound)):
        value, kind = getattr(bound, field.name), info(field).component
        if kind is None:
            continue
        for slot in _slots(value):
            offer = catalog.find(kind, slot.use)
            inner = bind_options(offer, slot.options, path=slot.use, origins={}, catalog=catalog, registry=registry)
            yield from _needed(inner, catalog, registry)


def _slots(value: Any) -> Iterator[Slot]:
    for one in value.values() if isinstance(value, Mapping) else [value]:
        if isinstance(one, Slot) and one.use:
            yield one

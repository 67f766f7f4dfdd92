"""Why a stage has to run: what differs from the nearest stored artifact of its kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from selma_core.graph.node import Graph, Node
from selma_core.store import Manifest, Store

ABSENT = "(absent)"


@attrs.frozen
class Difference:
    """One field of the payload. Attributes: now = in the recipe; stored = in the nearest artifact; hint = or ""."""

    field: str
    now: Any
    stored: Any
    hint: str = ""


@attrs.frozen
class Explanation:
    """Attributes: status as in the plan; nearest = manifest compared with, None when nothing of the kind is stored."""

    node: Node
    status: str
    nearest: Manifest | None
    differences: tuple[Difference, ...]


def explain(node: Node, graph: Graph, store: Store) -> Explanation:
    """Compares a node's payload with the nearest stored one: the fewest differing fields, the same label preferred."""
    status = {"absent": "run"}.get(store.status(node.fingerprint), store.status(node.fingerprint))
    if status != "run":
        return Explanation(node, status, store.manifest(node.fingerprint) if status == "hit" else None, ())
    candidates = [manifest for manifest in store.manifests() if manifest.kind == node.kind]
    if not candidates:
        return Explanation(node, status, None, ())
    nearest = min(candidates, key=lambda manifest: _distance(node, manifest))
    return Explanation(node, status, nearest, tuple(_differences(node, nearest, graph)))


def _distance(node: Node, manifest: Manifest) -> tuple[int, bool, float]:
    now, stored = flatten(node.payload), flatten(manifest.payload)
    differing = sum(now.get(key, ABSENT) != stored.get(key, ABSENT) for key in now.keys() | stored.keys())
    return differing, manifest.label != node.id, -_age_key(manifest)


def _age_key(manifest: Manifest) -> float:
    return float("".join(char for char in manifest.created if char.isdigit())[:14] or 0)


def _differences(node: Node, manifest: Manifest, graph: Graph) -> Iterator[Difference]:
    now, stored = flatten(node.payload), flatten(manifest.payload)
    for key in [*now, *(key for key in stored if key not in now)]:
        mine, theirs = now.get(key, ABSENT), stored.get(key, ABSENT)
        if mine != theirs:
            yield Difference(key, mine, theirs, _hint(key, mine, graph))


def _hint(key: str, value: Any, graph: Graph) -> str:
    """An input differs because the stage behind it differs: say which to ask next."""
    if not key.startswith("inputs."):
        return ""
    reader = next((node.id for node in graph if node.fingerprint == value), None)
    return f"see: why {reader}" if reader else ""


def flatten(value: Any, path: str = "") -> dict[str, Any]:
    """Dotted path -> leaf of a payload."""
    if isinstance(value, Mapping):
        items = [(f"{path}.{key}" if path else str(key), entry) for key, entry in value.items()]
    elif isinstance(value, list | tuple):
        items = [(f"{path}[{position}]", entry) for position, entry in enumerate(value)]
    else:
        return {path: value}
    return {key: leaf for name, entry in items for key, leaf in flatten(entry, name).items()} or {path: value}

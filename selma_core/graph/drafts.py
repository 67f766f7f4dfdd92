"""From the recipe's slots to one draft per node: axes multiplied out, overlays laid over, names filled in."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import attrs

from selma_core.config.layers import merge
from selma_core.errors import did_you_mean
from selma_core.graph.axes import AxisValue, check_overlays, expand_axes, last_rounds, stands_for, substitute
from selma_core.graph.braces import check_braces, drop_before_first
from selma_core.graph.problems import Problems


@attrs.frozen(kw_only=True)
class Draft:
    """A node before its inputs and options are looked up.

    Attributes:
        id, label, axes: of the node. kind, use, options: of its slot, names filled in.
        reads: port -> references as written, without those of a round before the first.
        opened: ports that read nothing because of that -> the axis. path: where the slot stands in the recipe.
    """

    id: str
    label: str
    axes: Mapping[str, str]
    kind: str
    use: str
    options: Mapping[str, Any]
    reads: Mapping[str, tuple[str, ...]]
    opened: Mapping[str, str]
    path: str


def draft_nodes(data: Mapping[str, Any], problems: Problems) -> dict[str, Draft]:
    """One draft per node, in recipe order.

    Args:
        data: of a recipe whose shape has been checked (`selma_core.config`).
    """
    stages: Mapping[str, Any] = data["stages"]
    axes = expand_axes(data.get("axes") or {}, problems)
    slots = {label: slot for label, slot in stages.items() if "[" not in label}
    refinements = {name: slot for name, slot in stages.items() if "[" in name}
    foreach = {label: _names(slot.get("foreach")) for label, slot in slots.items()}
    check_overlays(axes, foreach, problems)
    drafts: dict[str, Draft] = {}
    last = last_rounds(data.get("axes") or {})
    for label, slot in slots.items():
        for chosen in itertools.product(*(axes[axis] for axis in foreach[label])):
            values = dict(zip(foreach[label], chosen, strict=True))
            draft = _draft(label, slot, values, axes, last, refinements, problems)
            drafts[draft.id] = draft
    for name in refinements:
        if name not in drafts:
            problems.add(f"stages.{name}", "there is no such node", did_you_mean(name, drafts))
    return drafts


def node_id(label: str, values: Mapping[str, AxisValue]) -> str:
    """`label` or `label[value,...]`."""
    inner = ",".join(value.text for value in values.values())
    return f"{label}[{inner}]" if values else label


def _draft(
    label: str,
    slot: Mapping[str, Any],
    values: Mapping[str, AxisValue],
    axes: Mapping[str, tuple[AxisValue, ...]],
    last: Mapping[str, Any],
    refinements: Mapping[str, Any],
    problems: Problems,
) -> Draft:
    name = node_id(label, values)
    overlays = [value.overlay.get(wanted) for value in values.values() for wanted in (label, name)]
    for layer in [*overlays, refinements.get(name)]:
        slot = merge(slot, layer or {})
    written = {key: slot.get(key) for key in ("use", "from", "options")}
    check_braces(f"stages.{label}", written, axes, values, problems)
    names = {**last, **{axis: stands_for(value) for axis, value in values.items()}}
    ports, opened = drop_before_first(slot.get("from") or {}, names)
    filled = substitute({**slot, "from": ports}, names)
    return Draft(
        id=name,
        label=label,
        axes={axis: value.text for axis, value in values.items()},
        kind=str(filled["kind"]),
        use=str(filled.get("use") or ""),
        options=filled.get("options") or {},
        reads={port: _names(names) for port, names in filled["from"].items() if names is not None},
        opened=opened,
        path=f"stages.{name if name in refinements else label}",
    )


def _names(value: Any) -> tuple[str, ...]:
    """One name or a list of them."""
    return (value,) if isinstance(value, str) else tuple(value or ())

"""Layers of plain mappings: higher ones win, and a layer that changes a slot's `use` drops the options below it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

LayerOf = Callable[[str], str]
_SLOT_KEYS = {"use", "options"}


class Layers:
    """Mappings merged one above the other, with the layer that set each value.

    Attributes:
        data: what is in force. origins: dotted path of every leaf in `data` -> name of its layer.
    """

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self.origins: dict[str, str] = {}

    def add(self, patch: Mapping[str, Any], layer: str | LayerOf) -> None:
        """Lays `patch` on top. Args: layer = its name, or a function from dotted path to name (`shapes.yaml:7`)."""
        name_of = layer if callable(layer) else lambda _path: layer
        _merge(self.data, patch, "", self.origins, name_of)


def merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A new mapping: `base` with `patch` on top, by the same rules as `Layers`. Neither argument is changed."""
    result = copy.deepcopy(dict(base))
    _merge(result, patch, "", {}, lambda _path: "")
    return result


def _merge(data: dict[str, Any], patch: Mapping[str, Any], path: str, origins: dict[str, str], layer: LayerOf) -> None:
    if _changes_use(data, patch):
        _drop_options(data, path, origins)
    if path == "stages":
        _drop_node_options(data, patch, origins)
    for key, given in patch.items():
        child = f"{path}.{key}" if path else str(key)
        below = data.get(key)
        if given is None and below is not None and _is_axis(path):
            del data[key]
            _forget(child, origins)
            continue
        value = _as_slot(given) if _is_slot(below) else given
        if isinstance(below, str) and isinstance(value, Mapping) and value and set(value) <= _SLOT_KEYS:
            below = _as_slot(below)
            origins[f"{child}.use"] = origins.get(child, "")
        if isinstance(value, Mapping) and isinstance(below, dict):
            data[key] = below
            if value:
                origins.pop(child, None)  # `below` may have been an empty mapping, which is a leaf
            _merge(below, value, child, origins, layer)
        else:
            data[key] = _plain(value)
            _set_origin(child, data[key], origins, layer)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return copy.deepcopy(value)


def _is_slot(value: Any) -> bool:
    return isinstance(value, Mapping) and "use" in value


def _as_slot(value: Any) -> Any:
    """`judge: openai` is short for `judge: {use: openai}` wherever a slot meets another layer's slot."""
    return {"use": value} if isinstance(value, str) else value


def _is_axis(path: str) -> bool:
    """`axes.variant`: what it holds are values of the axis, and null takes one away that a lower layer has."""
    return path.startswith("axes.") and path.count(".") == 1


def _changes_use(data: Mapping[str, Any], patch: Mapping[str, Any]) -> bool:
    return "use" in data and "use" in patch and data["use"] != patch["use"]


def _drop_options(data: dict[str, Any], path: str, origins: dict[str, str]) -> None:
    if "options" in data:
        del data["options"]
        _forget(f"{path}.options" if path else "options", origins)


def _drop_node_options(stages: dict[str, Any], patch: Mapping[str, Any], origins: dict[str, str]) -> None:
    """`expert[count]` refines the plugin of `expert`: it loses its options together with the stage."""
    for label, slot in patch.items():
        below = stages.get(label)
        if isinstance(slot, Mapping) and isinstance(below, Mapping) and _changes_use(below, slot):
            for node, refined in stages.items():
                if node.startswith(f"{label}[") and isinstance(refined, dict) and "use" not in refined:
                    _drop_options(refined, f"stages.{node}", origins)


def _forget(path: str, origins: dict[str, str]) -> None:
    for known in [known for known in origins if known == path or known.startswith(f"{path}.")]:
        del origins[known]


def _set_origin(path: str, value: Any, origins: dict[str, str], layer: LayerOf) -> None:
    _forget(path, origins)
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            _set_origin(f"{path}.{key}", item, origins, layer)
    else:
        origins[path] = layer(path)

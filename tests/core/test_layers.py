"""Layers, origins, and the rule about `use`."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from selma_core.config import Layers, layer_of, merge

KEYS = st.sampled_from(["a", "b", "use", "options", "stages"])
VALUES = st.recursive(
    st.integers(0, 3) | st.sampled_from(["x", "y"]),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(KEYS, VALUES, max_size=4)


def test_mappings_merge_and_lists_are_replaced() -> None:
    assert merge({"a": {"x": 1, "y": [1, 2]}}, {"a": {"y": [3]}}) == {"a": {"x": 1, "y": [3]}}


def test_change_of_use_drops_inherited_options() -> None:
    base = {"stages": {"merge": {"kind": "m", "use": "linear", "options": {"scale": 2}}}}
    changed = merge(base, {"stages": {"merge": {"use": "ties", "options": {"density": 0.2}}}})
    assert changed["stages"]["merge"] == {"kind": "m", "use": "ties", "options": {"density": 0.2}}
    assert "options" not in merge(base, {"stages": {"merge": {"use": "ties"}}})["stages"]["merge"]


def test_same_use_keeps_options() -> None:
    base = {"use": "linear", "options": {"scale": 2}}
    assert merge(base, {"use": "linear", "options": {"rank": 4}})["options"] == {"scale": 2, "rank": 4}


def test_nested_slot_follows_the_same_rule() -> None:
    base = {"options": {"benchmark": "shapes", "judge": {"use": "openai", "options": {"model": "m"}}}}
    changed = merge(base, {"options": {"judge": {"use": "shapes_oracle"}}})
    assert changed["options"] == {"benchmark": "shapes", "judge": {"use": "shapes_oracle"}}


def test_a_name_is_short_for_a_slot() -> None:
    base = {"judge": {"use": "openai", "options": {"model": "m"}}}
    assert merge(base, {"judge": "shapes_oracle"}) == {"judge": {"use": "shapes_oracle"}}
    assert merge(base, {"judge": "openai"}) == base
    assert merge({"judge": "openai"}, {"judge": {"options": {"model": "m"}}}) == base


def test_change_of_use_drops_the_options_of_single_nodes() -> None:
    base = {
        "stages": {"e": {"use": "lora", "options": {"r": 1}}, "e[x]": {"options": {"r": 2}}, "e2[x]": {"options": {}}}
    }
    changed = merge(base, {"stages": {"e": {"use": "other"}}})
    assert changed["stages"] == {"e": {"use": "other"}, "e[x]": {}, "e2[x]": {"options": {}}}


def test_origins_name_the_layer_of_every_leaf() -> None:
    layers = Layers()
    layers.add({"a": {"x": 1, "y": 2}, "b": {"use": "p", "options": {"o": 1}}}, "file")
    layers.add({"a": {"y": 3}, "b": {"use": "q"}}, "the command line")
    assert layers.origins == {"a.x": "file", "a.y": "the command line", "b.use": "the command line"}


def test_mapping_over_value_and_back() -> None:
    layers = Layers()
    layers.add({"a": 1}, "one")
    layers.add({"a": {"x": 1}}, "two")
    assert (layers.data, layers.origins) == ({"a": {"x": 1}}, {"a.x": "two"})
    layers.add({"a": 5}, "three")
    assert (layers.data, layers.origins) == ({"a": 5}, {"a": "three"})


def test_layer_of_a_node_falls_back_to_its_stage() -> None:
    origins = {"stages.e.options.rank": "file", "stages.e[x].options.lr": "cli"}
    assert layer_of("stages.e[x].options.lr", origins) == "cli"
    assert layer_of("stages.e[x].options.rank", origins) == "file"
    assert layer_of("stages.e.options.rank.deep", origins) == "file"
    assert layer_of("nothing.here", origins) is None


def leaves(data: Any, path: str = "") -> set[str]:
    if isinstance(data, dict) and data:
        return {leaf for key, value in data.items() for leaf in leaves(value, f"{path}.{key}" if path else key)}
    return {path} if path else set()


@given(MAPPINGS, MAPPINGS)
def test_merge_changes_no_argument_and_is_idempotent(base: dict[str, Any], patch: dict[str, Any]) -> None:
    before = copy.deepcopy((base, patch))
    once = merge(base, patch)
    assert (base, patch) == before
    assert merge(once, patch) == once


@given(st.lists(MAPPINGS, max_size=4))
def test_origins_are_exactly_the_leaves(patches: list[dict[str, Any]]) -> None:
    layers = Layers()
    for index, patch in enumerate(patches):
        layers.add(patch, str(index))
    assert set(layers.origins) <= leaves(layers.data)
    assert {leaf for leaf in leaves(layers.data) if layer_of(leaf, layers.origins) is None} <= emptied(layers.data)


def emptied(data: Any, path: str = "") -> set[str]:
    """Paths of empty mappings: what remains of a slot whose options were dropped has no layer of its own."""
    if not isinstance(data, dict):
        return set()
    if not data:
        return {path}
    return {found for key, value in data.items() for found in emptied(value, f"{path}.{key}" if path else key)}


def test_null_takes_away_a_value_of_an_axis_that_is_there() -> None:
    layers = Layers()
    layers.add({"axes": {"variant": {"base": {"sample": {"options": {"guidance": 4}}}, "small": None}}}, "low")
    assert layers.data["axes"]["variant"]["small"] is None  # nothing below: a value without changes
    layers.add({"axes": {"variant": {"base": None, "merged": {}}}}, "high")
    assert layers.data["axes"]["variant"] == {"small": None, "merged": {}}
    assert not [path for path in layers.origins if path.startswith("axes.variant.base")]

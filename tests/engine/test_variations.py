"""Settings that take several values: which variants come of them, and how they are written."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selma_core.ablation import open_ablation
from selma_core.errors import ConfigError
from selma_core.variations import parse_vary, variants_of
from tests.engine.kit import Call, write_recipe

settings = st.dictionaries(
    st.sampled_from(["stages.merge.use", "stages.expert.options.rank", "stages.joint.options.rank", "seed"]),
    st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True),
    min_size=1,
)


@given(settings)
def test_the_full_grid_has_every_combination_once(vary: dict[str, list[Any]]) -> None:
    found = variants_of(vary)
    assert len(found) == prod(len(values) for values in vary.values())
    assert len({tuple(changes.items()) for changes in found.values()}) == len(found)
    assert all(changes[path] in vary[path] for changes in found.values() for path in vary)


@given(settings)
def test_one_at_a_time_differs_from_the_first_in_one_setting(vary: dict[str, list[Any]]) -> None:
    found = list(variants_of(vary, "one").values())
    assert len(found) == 1 + sum(len(values) - 1 for values in vary.values())
    assert found[0] == {path: values[0] for path, values in vary.items()}
    assert all(sum(each[path] != found[0][path] for path in vary) == 1 for each in found[1:])


def test_variants_are_named_by_their_values() -> None:
    assert list(variants_of({"stages.merge.use": ["linear", "ties"]})) == ["linear", "ties"]
    two = {"stages.merge.use": ["linear", "ties"], "stages.expert.options.rank": [4, 16]}
    assert list(variants_of(two)) == [
        *("merge=linear,rank=4", "merge=linear,rank=16", "merge=ties,rank=4", "merge=ties,rank=16")
    ]
    same = {"stages.expert.options.rank": [4], "stages.joint.options.rank": [8]}
    assert list(variants_of(same)) == ["expert.rank=4,joint.rank=8"]
    assert list(variants_of({"a": [None, True, [1, 2], {"use": "x"}]})) == ["null", "true", "1+2", "use=x"]


def test_values_on_the_command_line_are_yaml() -> None:
    assert parse_vary(["a.b=1,2.5", "c=[x, y],null"]) == {"a.b": [1, 2.5], "c": [["x", "y"], None]}


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        (["stages.merge.use"], "is written a.b.c=VALUE,VALUE"),
        (["a.b="], "is written a.b.c=VALUE,VALUE"),
        (["a=1", "a=2"], "given twice"),
        (["a=[1"], "no YAML values"),
        (["a..b=1"], "an override is written"),
    ],
)
def test_what_cannot_be_read_is_one_line(texts: list[str], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        parse_vary(texts)


def test_a_run_varies_its_settings(call: Call, folder: Path) -> None:
    code, out, _ = call("run", "selma.yaml", "--vary", "stages.merge.options.scale=1.0,2.0,3.0", "--json")
    result = json.loads(out)
    assert code == 0
    assert (result["baseline"], list(result["scores"])) == ("1.0", ["1.0", "2.0", "3.0"])
    write_recipe(
        folder / "grid.yaml", {"recipe": "selma.yaml", "vary": {"stages.merge.options.scale": [1.0, 2.0, 3.0]}}
    )
    assert {row.status for row in open_ablation(folder / "grid.yaml", store=folder / "store").plan} <= {"hit", "shared"}


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({}, "needs 'variants'"),
        ({"vary": {"a": 3}}, "vary.a: must be a list of values"),
        ({"vary": {"a": []}}, "vary.a: has no values"),
        ({"vary": {"a": [1, 1]}}, "has a value twice"),
        ({"vary": {"a": [1]}, "grid": "ful"}, "did you mean 'full'"),
        ({"variants": {"1": []}, "vary": {"seed": [1]}}, "is in 'variants' and comes out of 'vary' too"),
    ],
)
def test_a_file_that_varies_wrongly_is_one_line(data: dict[str, Any], line: str, folder: Path) -> None:
    write_recipe(folder / "wrong.yaml", {"recipe": "selma.yaml", **data})
    with pytest.raises(ConfigError, match=line):
        open_ablation(folder / "wrong.yaml", store=folder / "store")


def test_until_and_vary_do_not_go_together(call: Call) -> None:
    code, _, err = call("run", "selma.yaml", "--vary", "seed=1,2", "--until", "merge")
    assert code == 2
    assert "--until and --vary" in err

"""Binding plain values to options classes, and the canonical form of what was bound."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest

from selma_core.catalog import Catalog
from selma_core.config import bind_options, expanded_options
from selma_core.errors import ConfigErrors
from selma_core.kinds import BY_NAME
from selma_core.offers import Offer
from selma_core.options import Slot, between, component, entry, option, positive
from selma_core.records import EvaluatorRecord
from selma_core.registry import Registry
from tests.core.support import MakeRegistry

CHAT = """
import attrs
from selma_core import hookimpl
from selma_core.options import option, Slot, component
from selma_core.records import ChatModelRecord

@attrs.frozen
class Options:
    model: str = option(help="name")
    temperature: float = option(0.0, help="t")
    workers: int = option(1, help="w", changes_results=False)

@attrs.frozen
class Wrapped:
    inner: Slot = component("chat_model", Slot("parrot", {"model": "m"}), help="who")

@hookimpl
def selma_chat_models():
    yield ChatModelRecord(name="parrot", summary="p", factory="x:Y", options=Options, revision=3)
    yield ChatModelRecord(name="wrapped", summary="w", factory="x:Y", options=Wrapped)
    yield ChatModelRecord(name="plain", summary="w", factory="x:Y")
"""


class Colour(enum.Enum):
    red = 1
    blue = 2


@attrs.frozen
class Schedule:
    warmup: int = option(0, help="steps")
    decay: float = option(0.5, help="factor", check=between(0, 1))


def less(instance: Any, field: Any, value: int) -> None:
    if value >= instance.rank:
        raise ValueError(f"must be below rank, not {value}")


@attrs.frozen(kw_only=True)
class Options:
    benchmark: str = entry("benchmarks", help="which")
    skills: list[str] = entry("skills", [], help="which")
    model: str | None = entry("models", None, help="which")
    rank: int = option(16, help="r", check=positive)
    low: int = option(1, help="l", check=less)
    lr: float = option(1e-4, help="rate")
    mode: Literal["fast", "exact"] = option("fast", help="m")
    colour: Colour = option(Colour.red, help="c")
    sizes: tuple[int, ...] = option((1, 2), help="s")
    table: dict[str, list[float]] = option({}, help="t")
    out: Path | None = option(None, help="p")
    schedule: Schedule = attrs.field(factory=Schedule)
    batch: int = option(8, help="b", changes_results=False)
    later: list[str] = option([], help="l", added=True)
    judge: Slot = component("chat_model", Slot("parrot", {"model": "small", "temperature": 0.5}), help="j")
    second: Slot | None = component("chat_model", None, help="s")
    rewards: dict[str, Slot] = component("chat_model", {}, help="r")


OFFER = Offer(
    kind=BY_NAME["evaluator"],
    record=EvaluatorRecord(name="e", summary="e", factory="x:Y", options=Options),
    provider="acme",
    version="1",
)


@pytest.fixture
def registry(make_registry: MakeRegistry) -> Registry:
    return make_registry(  # type: ignore[no-any-return]
        {
            "benchmarks/shapes.yaml": "summary: b\nfile: b.csv\n",
            "benchmarks/b.csv": "a,b\n",
            "skills/count.yaml": "summary: s\nrules: [on]\n",
            "skills/copy.yaml": "summary: other words\nrules: [on]\n",
        }
    )


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    file = tmp_path / "chat.py"
    file.write_text(CHAT)
    return Catalog.discover([file], select="none", strict=True)


class Binding:
    """Binds options at a path, with everything set by one layer."""

    def __init__(self, catalog: Catalog, registry: Registry) -> None:
        self.catalog, self.registry = catalog, registry

    def __call__(self, **values: Any) -> Any:
        return bind_options(
            OFFER,
            {"benchmark": "shapes", **values},
            path="stages.score.options",
            origins={f"stages.score.options.{name}": "the command line" for name in values},
            catalog=self.catalog,
            registry=self.registry,
        )

    def errors(self, **values: Any) -> list[str]:
        with pytest.raises(ConfigErrors) as caught:
            self(**values)
        return [str(error).removeprefix("stages.score.options.") for error in caught.value.errors]

    def canonical(self, **values: Any) -> dict[str, Any]:
        found = expanded_options(OFFER, self(**values), catalog=self.catalog, registry=self.registry)
        assert json.loads(json.dumps(found, allow_nan=False)) == found
        return found


@pytest.fixture
def bind(catalog: Catalog, registry: Registry) -> Binding:
    return Binding(catalog, registry)


def test_defaults(bind: Binding) -> None:
    bound = bind()
    assert bound == Options(benchmark="shapes")


def test_values_become_the_fields_types(bind: Binding) -> None:
    bound = bind(rank="8", lr=1, sizes=[3, 4], out="a/b", colour="blue", table={"x": [1, 2]}, mode="exact")
    assert (bound.rank, bound.sizes, bound.out, bound.colour, bound.mode) == (
        8,
        (3, 4),
        Path("a/b"),
        Colour.blue,
        "exact",
    )
    assert type(bound.lr) is float
    assert bound.table == {"x": [1.0, 2.0]}


def test_nested_class_keeps_its_other_defaults(bind: Binding) -> None:
    assert bind(schedule={"warmup": 5}).schedule == Schedule(warmup=5, decay=0.5)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"densty": 1}, "densty: unknown option (set on the command line); known: "),
        ({"rnk": 1}, "rnk: unknown option (set on the command line); did you mean 'rank'?"),
        ({"rank": "abc"}, "rank: must be an integer, not 'abc' (set on the command line)"),
        ({"rank": 1.5}, "rank: must be an integer, not 1.5 (set on the command line)"),
        ({"rank": None}, "rank: must be an integer, not null (set on the command line)"),
        ({"rank": True}, "rank: must be an integer, not True (set on the command line)"),
        ({"rank": -1}, "rank: must be above 0, not -1 (set on the command line)"),
        ({"mode": "exat"}, "mode: must be one of 'fast', 'exact', not 'exat' (set on the command line); did you mean"),
        ({"colour": "green"}, "colour: must be one of red, blue, not 'green' (set on the command line)"),
        ({"sizes": [1, "x"]}, "sizes"),
        ({"sizes": 3}, "sizes: must be a list (an integer each), not 3 (set on the command line)"),
        ({"table": {"a": ["x"]}}, "table.a[0]: Value 'x' of type 'str' could not be converted to Float (set on"),
        ({"schedule": {"warm": 1}}, "schedule.warm: unknown option (set on the command line); did you mean 'warmup'?"),
        ({"schedule": {"decay": 2}}, "schedule.decay: must be between 0 and 1, not 2.0 (set on the command line)"),
        ({"schedule": 3}, "schedule: must be a mapping of options, not 3 (set on the command line)"),
        ({"low": 99}, "must be below rank, not 99"),
        ({"benchmark": "shaps"}, "benchmark: unknown benchmark 'shaps'; did you mean 'shapes'? (set on the command"),
        (
            {"skills": ["count", "cont"]},
            "skills: unknown skill 'cont'; did you mean 'count'? (set on the command line)",
        ),
        ({"model": "hub:a/b"}, "model: 'hub:a/b': pin the revision"),
        ({"judge": "parot"}, "judge.use: unknown chat_model 'parot'; did you mean 'parrot'? (set on the command line)"),
        (
            {"judge": {"options": {"modl": "x"}}},
            "judge.options.modl: unknown option (set on the command line); did you",
        ),
        (
            {"judge": {"use": "parrot", "option": {}}},
            "judge.option: unknown key of a slot (set on the command line); did",
        ),
        ({"judge": 3}, "judge: must name a plugin ({use: name, options: {...}}), not 3 (set on the command line)"),
        ({"judge": {"use": "wrapped", "options": {"inner": "x"}}}, "judge.options.inner.use: unknown chat_model 'x'"),
        ({"rewards": {"a": {"use": "parrot"}}}, "rewards.a.options.model: is required (name)"),
        ({"mode": "${oc.env:HOME}"}, "mode: '${oc.env:HOME}' holds '${': values are plain data"),
        ({"judge": {"options": {"model": "${x}"}}}, "judge.options.model: '${x}' holds '${'"),
        ({"table": {"a": ["${x}"]}}, "table.a[0]: '${x}' holds '${'"),
    ],
)
def test_wrong_value(bind: Binding, values: dict[str, Any], expected: str) -> None:
    (line,) = bind.errors(**values)
    assert line.startswith(expected) or line.removeprefix("stages.score.options: ").startswith(expected)
    assert "\n" not in line


def test_required_option_that_is_missing(catalog: Catalog, registry: Registry) -> None:
    with pytest.raises(ConfigErrors, match=r"^stages\.s\.options\.benchmark: is required \(which\)$"):
        bind_options(OFFER, {}, path="stages.s.options", origins={}, catalog=catalog, registry=registry)


def test_all_errors_at_once(bind: Binding) -> None:
    lines = bind.errors(rnk=1, lr="x", benchmark="nothing", judge={"options": {"temperature": "hot"}})
    assert [line.partition(":")[0] for line in lines] == ["rnk", "benchmark", "lr", "judge.options.temperature"]


def test_interpolation_reads_no_environment(bind: Binding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_TEST", "hunter2")
    (line,) = bind.errors(mode="${oc.env:SECRET_OF_THE_TEST}")
    assert "hunter2" not in line


def test_component_with_another_use_drops_the_default_options(bind: Binding) -> None:
    assert bind(judge={"options": {"temperature": 1.0}}).judge == Slot("parrot", {"model": "small", "temperature": 1.0})
    assert bind(judge="plain").judge == Slot("plain", {})
    assert bind(judge={"use": "parrot", "options": {"model": "m"}}).judge.options == {"model": "m", "temperature": 0.5}


def test_component_given_from_python(bind: Binding) -> None:
    assert bind(judge=Slot("plain")).judge == Slot("plain")
    assert bind(judge=None).judge == Slot()
    assert bind(second=None).second is None


def test_canonical_holds_what_changes_results(bind: Binding) -> None:
    found = bind.canonical(out="a/b", colour="blue")
    assert "batch" not in found
    assert (found["out"], found["colour"], found["sizes"], found["second"]) == ("a/b", "blue", [1, 2], None)
    assert found["schedule"] == {"warmup": 0, "decay": 0.5}
    assert bind.canonical(batch=1) == bind.canonical(batch=2)


def test_an_option_that_was_added_later_counts_unless_it_is_at_its_default(bind: Binding) -> None:
    assert bind.canonical(later=[]) == bind.canonical()
    assert "later" not in bind.canonical()
    assert bind.canonical(later=["a"])["later"] == ["a"]
    with pytest.raises(ValueError, match="added later needs a default"):
        option(help="l", added=True)


def test_canonical_component_is_expanded(bind: Binding) -> None:
    judge = bind.canonical(judge={"use": "wrapped"})["judge"]
    assert (judge["plugin"], judge["provider"], judge["revision"]) == ("wrapped", "chat.py", 1)
    inner = judge["options"]["inner"]
    assert (inner["plugin"], inner["revision"], inner["options"]) == ("parrot", 3, {"model": "m", "temperature": 0.0})
    assert len(inner["source"]) == 64


def test_canonical_entry_is_its_pin_alone(bind: Binding) -> None:
    count, copy = (bind.canonical(skills=[name])["skills"] for name in ("count", "copy"))
    assert count == copy
    assert set(count[0]) == {"section", "pin"}


def test_equal_values_written_otherwise_have_one_canonical_form(bind: Binding) -> None:
    assert bind.canonical(lr=1, rank="8", judge="parrot") == bind.canonical(
        lr=1.0, rank=8, judge={"use": "parrot", "options": {"model": "small"}}
    )

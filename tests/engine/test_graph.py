"""Recipes to graphs: axes, overlays, references, refinements, and every mistake at once."""

from __future__ import annotations

from collections.abc import Callable
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selma_core.errors import ConfigErrors, GraphError, UnknownNameError
from selma_core.graph.axes import expand_axes, substitute
from selma_core.graph.problems import Problems
from selma_core.session import Session, open_session
from tests.engine.kit import LIGHT, RECIPE, write_recipe

Opens = Callable[..., Session]


def errors(session: Opens, recipe: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        session(recipe, overrides)
    return [str(error) for error in caught.value.errors]


def test_nodes_are_named_and_ordered_as_written(session: Opens) -> None:
    graph = session("selma").graph
    assert list(graph.nodes) == [
        *("prompts[count]", "prompts[general]", "images[count]", "images[general]", "expert[count]", "expert[general]"),
        *("merge", "bench", "sample[base]", "sample[expert_count]", "sample[expert_general]", "sample[merged]"),
        *("score[base]", "score[expert_count]", "score[expert_general]", "score[merged]"),
    ]


def test_references_one_to_one_gathered_and_explicit(session: Opens) -> None:
    graph = session("selma").graph
    assert graph["images[count]"].inputs == {"prompts": ("prompts[count]",)}
    assert graph["merge"].inputs == {"adapters": ("expert[count]", "expert[general]")}
    assert graph["sample[base]"].inputs == {"prompts": ("bench",)}
    assert graph["sample[expert_count]"].inputs == {"prompts": ("bench",), "adapter": ("expert[count]",)}
    assert graph["score[merged]"].inputs == {"images": ("sample[merged]",)}


def test_a_list_keeps_its_order_and_an_overlay_may_close_a_port(session: Opens) -> None:
    graph = session("selma", ["stages.merge.from.adapters=['expert[general]', 'expert[count]']"]).graph
    assert graph["merge"].inputs == {"adapters": ("expert[general]", "expert[count]")}
    graph = session("selma", ["axes.variant.merged.sample.from.adapter=null"]).graph
    assert graph["sample[merged]"].inputs == {"prompts": ("bench",)}


def test_a_refinement_changes_one_node(session: Opens) -> None:
    graph = session("selma", ["stages.expert[count].options.steps=9", "stages.expert.options.steps=3"]).graph
    assert (graph["expert[count]"].bound.steps, graph["expert[general]"].bound.steps) == (9, 3)


def test_a_number_as_axis_value_stays_a_number(folder: Path, session: Opens) -> None:
    recipe = {
        "axes": {"n": [2, 3]},
        "stages": {"prompts": dict(LIGHT["stages"]["prompts"])},
        "plugins": LIGHT["plugins"],
    }
    recipe["stages"]["prompts"] |= {"foreach": "n", "options": {"n": "{n}", "skill": "size-{n}"}}
    write_recipe(folder / "numbers.yaml", recipe)
    graph = session("numbers").graph
    assert [(node.bound.n, node.bound.skill) for node in graph] == [(2, "size-2"), (3, "size-3")]


def test_two_axes_multiply_in_the_order_of_foreach(session: Opens) -> None:
    more = ["axes.n=[1, 2]", "stages.prompts.foreach=[n, skill]", "stages.prompts.options.n={n}"]
    graph = session("selma", [*more, "stages.images.foreach=[skill, n]"]).graph
    assert [name for name in graph.nodes if name.startswith("prompts")] == [
        *("prompts[1,count]", "prompts[1,general]", "prompts[2,count]", "prompts[2,general]")
    ]
    assert graph["images[count,2]"].inputs == {"prompts": ("prompts[2,count]",)}
    assert graph["expert[count]"].inputs == {"images": ("images[count,1]", "images[count,2]")}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("stages.merge.from.adapters=expertt", ["stages.merge.from.adapters", "'expertt'", "did you mean 'expert'?"]),
        ("stages.merge.from.adapters=expert[cuont]", ["'expert[cuont]'", "did you mean 'expert[count]'?"]),
        ("stages.merge.from={adapter: expert}", ["stages.merge.from.adapter", "unknown port", "'adapters'"]),
        ("stages.score.from.images=null", ["stages.score.from", "'images' is missing", "evaluator"]),
        ("stages.score.from.images=prompts", ["takes images", "makes prompts"]),
        ("stages.sample.from.adapter=[merge, expert]", ["takes one input", "3 were given"]),
        ("stages.merge.from.adapters=[expert, 'expert[count]']", ["'expert[count]' is read twice"]),
        ("stages.merge.use=fake_mrege", ["stages.merge.use", "did you mean 'fake_merge'?"]),
        ("stages.merge.options.scael=1", ["stages.merge.options.scael", "did you mean 'scale'?"]),
        ("stages.merge.options.scale=much", ["stages.merge.options.scale", "number"]),
        ("stages.prompts.options.n=0", ["stages.prompts.options.n", "above 0"]),
        ("stages.expert[cuont].options.steps=1", ["stages.expert[cuont]", "did you mean 'expert[count]'?"]),
        ("stages.bench.options.skill={skill}", ["stages.bench.options.skill", "does not run over 'skill'"]),
        ("axes.variant.base.merge.options.scale=1", ["axes.variant.base.merge", "does not run over 'variant'"]),
        ("axes.more=[a/b, c]", ["axes.more", "'a/b'"]),
        ("stages.score.options.judge.use=fake_jugde", ["judge", "did you mean 'fake_judge'?"]),
    ],
)
def test_a_mistake_is_one_line_with_place_and_remedy(session: Opens, override: str, words: list[str]) -> None:
    (line,) = errors(session, "selma", override)
    assert all(word in line for word in words), line


def test_all_mistakes_are_reported_at_once(session: Opens) -> None:
    found = errors(
        session,
        "selma",
        "stages.merge.use=fake_mrege",
        "stages.score.from.images=smaple",
        "stages.prompts.options.n=-1",
        "stages.bench.options.nn=1",
    )
    assert len(found) == 4


MISTAKES = {
    "no equals sign": "an override is written a.b.c=value",
    "sede=1": "did you mean 'seed'?",
    "seed=abc": "seed: must be an integer of at least 0",
    "runtime.threads=x": "runtime.threads: must be an integer of at least 1",
    "stages.merge.use=fake_merg": "did you mean 'fake_merge'?",
    "stages.bench.options.nn=1": "did you mean 'n'?",
    "stages.score.from.images=smaple": "did you mean 'sample'?",
    "runtime.executor.use=proces": "did you mean 'process'?",
    "runtime.trackers.mine=fake_trak": "did you mean 'fake_track'?",
    "report.compare=[[mergd, base]]": "did you mean 'merged'?",
    "report.baseline=bass": "did you mean 'base'?",
}


def test_mistakes_of_every_kind_are_reported_in_one_go(session: Opens) -> None:
    found = errors(session, "selma", *MISTAKES)
    assert len(found) == len(MISTAKES)
    for hint in MISTAKES.values():
        assert len([line for line in found if hint in line]) == 1, hint


def test_a_misshapen_stage_hides_no_mistake_of_the_others(session: Opens) -> None:
    found = errors(
        session,
        "selma",
        "stages.score.kind=evaluatr",
        "axes.skill=[a, a]",
        "stages.merge.use=fake_merg",
        "stages.bench.options.nn=1",
        "stages.expert.from=images",
        "runtime.executor.use=proces",
        "report=3",
    )
    starts = [
        *("report", "axes.skill", "stages.expert.from", "stages.score.kind"),
        *("stages.merge.use", "stages.bench.options.nn", "runtime.executor.use"),
    ]
    assert [line.partition(": ")[0] for line in found] == starts


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["report.compare=[[merged, base, base]]"], "report.compare: must be a list of pairs of variants"),
        (["report.compare=merged"], "report.compare: must be a list of pairs"),
        (["report.compare=[[1, 2]]"], "report.compare: must be a list of pairs"),
        (["report.baseline=3"], "report.baseline: must be a variant, not 3"),
        (["report.scores=3"], "report.scores: must be an evaluator stage or a list of these, not 3"),
        (["runtime.trackers=fake_track"], "runtime.trackers: must be a mapping name -> tracker, not 'fake_track'"),
        (["plugins.files=x.py"], "plugins.files: must be a list of files, not 'x.py'"),
    ],
)
def test_sections_of_the_wrong_type(session: Opens, overrides: list[str], line: str) -> None:
    (found,) = errors(session, "selma", *overrides)
    assert found.startswith(line)


def test_an_unknown_stage_to_stop_at_comes_with_the_rest(session: Opens) -> None:
    with pytest.raises(ConfigErrors) as caught:
        session("selma", ["stages.merge.use=fake_merg"], until=["promts"])
    assert [line.partition(": ")[0] for line in str(caught.value).splitlines()] == ["stages.merge.use", "--until"]
    with pytest.raises(ConfigErrors, match="mergd"):
        session("selma", ["report.compare=[[mergd, base]]"], until=["score", "merge"])
    assert len(session("selma", ["report.compare=[[mergd, base]]"], until=["merge"]).graph) == 7


def test_a_circle_comes_with_the_rest(session: Opens) -> None:
    circle = "stages.images={kind: selector, use: fake_first, from: {images: best}}"
    gone = ["stages.images.options=null", "stages.images.from.prompts=null"]
    found = errors(session, "light", *gone, circle, "runtime.executor.use=proces")
    assert [line.partition(": ")[0] for line in found] == ["runtime.executor.use", "stages"]
    assert "in a circle: images -> best" in found[1]


def test_a_circle_is_named(session: Opens) -> None:
    circle = "stages.images={kind: selector, use: fake_first, from: {images: best}}"
    with pytest.raises(GraphError, match=r"circle: images -> best -> (score -> )?images"):
        session("light", ["stages.images.options=null", "stages.images.from.prompts=null", circle])


def test_an_unknown_node_is_named(session: Opens) -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean 'expert\[count\]'\?"):
        session("selma").graph["expert[cout]"]


def test_report_names_are_checked_before_anything_runs(session: Opens, start: Callable[..., Any], folder: Path) -> None:
    for override, hint in [
        ("report.compare=[[mergd, base]]", "'merged'"),
        ("report.baseline=bas", "'base'"),
        ("report.scores=scoer", "'score'"),
    ]:
        with pytest.raises(ConfigErrors, match=hint):
            start("selma", [override])
    assert not (folder / "store").exists()


def test_an_axis_value_that_names_another_axis_is_one_value_for_each() -> None:
    problems = Problems({})
    axes = {"variant": {"x_{skill}": {"s": {"from": {"a": "e[{skill}]"}}}}, "skill": ["p", "q"]}
    found = expand_axes(axes, problems)["variant"]
    assert not problems
    assert [value.text for value in found] == ["x_p", "x_q"]
    assert found[1].overlay == {"s": {"from": {"a": "e[q]"}}}


def test_axes_that_name_each_other_are_an_error() -> None:
    problems = Problems({})
    expand_axes({"a": ["x{b}"], "b": ["y{a}"]}, problems)
    with pytest.raises(ConfigErrors, match="names itself by way of"):
        problems.check()


@given(st.text(), st.text(alphabet="abc{}", max_size=20))
def test_braces_of_others_are_left_alone(value: str, text: str) -> None:
    assert substitute(text, {"axis": value}) == text
    assert substitute(f"<{{axis}}{text}", {"axis": value}) == f"<{value}{text}"


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_inputs_come_before_readers_in_any_graph(folder: Path, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 8))
    stages: dict[str, Any] = {"p": RECIPE["stages"]["bench"]}
    stages["s0"] = {"kind": "image_generator", "use": "fake_images", "from": {"prompts": "p"}}
    for number in range(1, count):
        reads = data.draw(st.lists(st.sampled_from([f"s{i}" for i in range(number)]), min_size=1, unique=True))
        stages[f"s{number}"] = {"kind": "selector", "use": "fake_first", "from": {"images": reads}}
    order = data.draw(st.permutations(list(stages)))
    recipe = {"stages": {label: stages[label] for label in order}, "plugins": RECIPE["plugins"]}
    write_recipe(folder / "any.yaml", recipe)
    graph = open_session(folder / "any.yaml", store=folder / "s").graph
    seen: set[str] = set()
    for node in graph:
        assert set(node.reads) <= seen
        seen.add(node.id)
    assert seen == set(stages)
    assert len(list(TopologicalSorter({n.id: n.reads for n in graph}).static_order())) == len(graph)

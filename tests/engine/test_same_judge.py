"""A judge that scores what it has helped to choose is named: in the plan, while running, and in the run's JSON."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path

import pytest

from selma_core.collect import judge_warnings
from selma_core.events import StageWarning
from selma_core.result import Run
from selma_core.session import open_session
from tests.engine.kit import LIGHT, Call, write_recipe

Start = Callable[..., Run]
# What `best` keeps is scored again, by the judge of the scores that it was kept for.
CIRCLE = {
    **LIGHT,
    "stages": {
        **LIGHT["stages"],
        "again": {"kind": "evaluator", "use": "fake_light", "from": {"images": "best"}},
    },
    "report": {"scores": "again"},
}
OTHER = "stages.again.options.judge.use=fake_other_judge"


@pytest.fixture
def circle(folder: Path) -> Path:
    write_recipe(folder / "circle.yaml", CIRCLE)
    return folder / "circle.yaml"


@pytest.mark.usefixtures("circle")
def test_a_run_warns_and_keeps_it(start: Start) -> None:
    seen: list[object] = []
    result = start("circle", on_event=seen.append).result
    assert result["shared_judges"] == [{"judge": "fake_judge", "scores": "again", "selects": ["score"], "learnt": []}]
    (warning,) = [event for event in seen if isinstance(event, StageWarning) and event.node == "again"]
    assert "'fake_judge' scores here what it has helped to choose (score)" in warning.message
    assert start("circle", [OTHER]).result["shared_judges"] == []


@pytest.mark.usefixtures("circle")
def test_the_report_says_it_beside_the_scores(start: Start) -> None:
    caution = "'fake_judge' scores here what it has helped to choose (score)"
    pages = [run.report.read_text() for run in (start("circle"), start("circle", [OTHER])) if run.report]
    assert [caution in html.unescape(page) for page in pages] == [True, False]


@pytest.mark.usefixtures("circle")
def test_a_plan_warns_beside_its_table(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    code, out, _ = call("plan", "circle.yaml", "--json")
    assert code == 0
    assert "scores here" not in out
    assert [line for line in caplog.messages if "again: 'fake_judge' scores here" in line]
    caplog.clear()
    call("plan", "circle.yaml", "-o", OTHER)
    assert not caplog.messages


def shared(recipe: str, *overrides: str) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(one.judge, one.scores, one.selects) for one in judge_warnings(open_session(recipe, overrides))]


@pytest.fixture
def bundled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SELMA_PLUGINS", raising=False)


@pytest.mark.usefixtures("bundled")
@pytest.mark.parametrize("recipe", ["shapes", "shapes_selected", "shapes_two_judges"])
def test_bundled_recipes_are_scored_by_others_than_they_are_selected_by(recipe: str) -> None:
    assert shared(recipe) == []


RATED = "stages.rate={kind: evaluator, foreach: skill, from: {images: candidates}, use: dsg, options: %s}"
WORDED = "{benchmark: shapes, judge: {use: shapes_oracle}, question_template: '{question} Yes or no?'}"


@pytest.mark.usefixtures("bundled")
def test_the_same_judge_under_another_question_is_the_same_judge() -> None:
    assert shared("shapes_selected", RATED % WORDED, "stages.select.options.metric=dsg") == [
        ("shapes_oracle", "score", ("rate",))
    ]


@pytest.mark.usefixtures("bundled")
def test_models_tell_judges_of_one_plugin_apart() -> None:
    judged = "{benchmark: shapes, judge: {use: openai, options: {model: %s, base_url: 'http://localhost:1/v1'}}}"
    final = f"stages.score.options={judged % 'one'}"
    select = "stages.select.options.metric=dsg"
    assert shared("shapes_selected", final, RATED % (judged % "one"), select) == [("openai", "score", ("rate",))]
    assert shared("shapes_selected", final, RATED % (judged % "two"), select) == []


@pytest.mark.usefixtures("bundled")
def test_an_evaluator_without_a_judge_is_one_itself() -> None:
    again = "stages.score={kind: evaluator, use: shapes_judge, foreach: variant, from: {images: sample}}"
    assert shared("shapes_selected", again) == [("shapes_judge", "score", ("rate",))]


@pytest.mark.usefixtures("bundled")
def test_a_merge_search_selects() -> None:
    search = [
        "stages.merge_selected.use=search",
        "stages.merge_selected.options.prompts={use: benchmark_prompts, options: {benchmark: shapes_validation}}",
        "stages.merge_selected.options.generator={use: diffusers, options: {model: shapes_base}}",
        "stages.merge_selected.options.evaluator={use: dsg, options: {benchmark: shapes_validation, judge: {use: %s}}}",
    ]
    assert shared("shapes_selected", *search[:-1], search[-1] % "shapes_oracle") == [
        ("shapes_oracle", "score", ("merge_selected",))
    ]
    assert shared("shapes_selected", *search[:-1], search[-1] % "shapes_vqa") == []

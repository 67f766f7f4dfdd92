"""DSG's questions written by a chat model that errs: retries, prompts left without questions, resuming."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from selma_plugins.evaluation.dsg import Dsg
from selma_plugins.evaluation.options import DSG_RULES, DsgOptions
from selma_plugins.evaluation.writing.asking import RETRY_TEMPERATURE

from selma_core.data import ChatReply, ChatRequest, ImageItem, Prompt
from selma_core.errors import StageError, UserError
from selma_core.options import Slot
from selma_core.testing import FakeContext, Interrupted, check_evaluator
from tests.evaluation.writer import Writer, prompt_of, step_of

COLOURS = ("red", "green", "blue", "white")
PROMPTS = [Prompt(id=f"p{i}", text=f"a {COLOURS[i % 4]} thing{i}", meta={"group": "g"}) for i in range(6)]


class Judge:
    """Says yes."""

    identity = "yes"

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        return [ChatReply(text="yes") for _ in requests]


def images(prompts: Sequence[Prompt] = PROMPTS, k: int = 1) -> list[ImageItem]:
    return [
        ImageItem(item_id=f"{p.id}-{i}", prompt=p, path=Path(f"{p.id}-{i}.png"), sha256="0", k=i)
        for p in prompts
        for i in range(k)
    ]


def context_of(workdir: Path, writer: Writer, **options: Any) -> FakeContext:
    components = {("chat_model", "judge"): Judge(), ("chat_model", "writer"): writer}
    return FakeContext(workdir=workdir, components=components, **options)


def dsg(**options: Any) -> Dsg:
    return Dsg(DsgOptions(writer=Slot("writer"), judge=Slot("judge"), **options))


def test_questions_of_a_prompt(tmp_path: Path) -> None:
    writer = Writer()
    specs = dsg().prepare(PROMPTS[:1], context_of(tmp_path, writer))
    assert specs == {
        "p0": {
            "expected": 2,
            "text": "a red thing0",
            "groups": ["g"],
            "written_by": "fake:writer",
            "complaints": [],
            "questions": [
                {
                    "id": "1",
                    "question": "Is there a thing0?",
                    "dependency": "0",
                    "category_broad": "entity",
                    "category_detailed": "whole",
                    "tuple": "entity - whole (thing0)",
                },
                {
                    "id": "2",
                    "question": "Is the thing0 red?",
                    "dependency": "1",
                    "category_broad": "attribute",
                    "category_detailed": "color",
                    "tuple": "attribute - color (thing0, red)",
                },
            ],
        }
    }
    assert [step_of(text) for text in writer.texts] == ["tuples", "questions", "dependencies"]
    assert {request.temperature for request in writer.asked} == {0.0}
    assert all(text.endswith("\noutput:") for text in writer.texts)


def test_written_questions_score_as_those_of_a_file(tmp_path: Path) -> None:
    context = context_of(tmp_path, Writer())
    evaluator = dsg()
    specs = evaluator.prepare(PROMPTS, context)
    rows = list(evaluator.observe(images(), specs, context))
    for rule in DSG_RULES:
        summary = evaluator.aggregate(rows, specs, rule)
        assert (summary.mean, summary.coverage, summary.n_atoms) == (100.0, 1.0, 12)
    assert summary.groups == {"g": 100.0}
    assert set(summary.categories) == {"entity", "entity/whole", "attribute", "attribute/color"}
    assert context.warnings == []


USELESS = [
    (step, bad)
    for step in ("tuples", "questions", "dependencies")
    for bad in ("", "I cannot see any image.", "1 | only one")
    if (step, bad) != ("tuples", "1 | only one")  # a single tuple is a good reply
]


@pytest.mark.parametrize(("step", "bad"), USELESS)
def test_one_bad_reply_is_asked_for_again_with_another_seed(step: str, bad: str, tmp_path: Path) -> None:
    writer = Writer(lambda text, before: bad if step_of(text) == step and not before else None)
    specs = dsg().prepare(PROMPTS, context_of(tmp_path, writer))
    assert all(len(spec["questions"]) == 2 and "unwritten" not in spec for spec in specs.values())
    asked = [request for request in writer.asked if step_of(request.messages[-1].text) == step]
    assert [request.temperature for request in asked] == [0.0] * 6 + [RETRY_TEMPERATURE] * 6
    assert len({request.seed for request in asked}) == 12


def lost(text: str, before: int) -> str | None:
    """The dependencies of one prompt, the tuples of another are never of use."""
    hopeless = {"tuples": "a green thing1", "dependencies": "a white thing3"}
    return "no idea" if hopeless.get(step_of(text)) == prompt_of(text) else None


def test_a_prompt_without_questions_lowers_the_coverage_not_the_mean(tmp_path: Path) -> None:
    context = context_of(tmp_path, Writer(lost))
    evaluator = dsg(attempts=2)
    specs = evaluator.prepare(PROMPTS, context)
    assert {key: spec.get("unwritten") for key, spec in specs.items() if "unwritten" in spec} == {
        "p1": "no line of the tuples could be read",
        "p3": "the dependencies lack one for tuple 1",
    }
    rows = list(evaluator.observe(images(k=2), specs, context))
    for rule in DSG_RULES:
        summary = evaluator.aggregate(rows, specs, rule)
        assert (summary.mean, summary.n_prompts, summary.n_images) == (100.0, 4, 8)
        assert summary.coverage == pytest.approx(4 / 6)
    (atom,) = rows[2].atoms
    assert (atom.status, atom.value, atom.raw) == (
        "skipped",
        None,
        "no questions: no line of the tuples could be read",
    )
    assert context.warnings == [
        "2 of 6 prompts have no questions, first: 'p1' (no line of the tuples could be read); they lower the coverage, "
        "not the score"
    ]


def test_a_prompt_is_given_up_after_its_attempts(tmp_path: Path) -> None:
    writer = Writer(lost)
    dsg(attempts=4).prepare(PROMPTS, context_of(tmp_path, writer))
    about = [(step_of(text), prompt_of(text)) for text in writer.texts]
    assert about.count(("tuples", "a green thing1")) == 4
    assert about.count(("questions", "a green thing1")) == 0
    assert about.count(("dependencies", "a white thing3")) == 4
    assert about.count(("tuples", "a red thing0")) == 1


def test_a_writer_that_writes_nothing_stops_the_stage(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"no prompt has questions; first: 'p0' \(timed out\); choose another"):
        dsg().prepare(PROMPTS, context_of(tmp_path, Writer(lambda text, before: "")))


def test_a_cut_reply_is_a_bad_one(tmp_path: Path) -> None:
    class Cut(Writer):
        def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
            return [ChatReply(text=reply.text, truncated=True) for reply in super().reply(requests)]

    with pytest.raises(StageError, match="the reply was cut at 1024 tokens"):
        dsg().prepare(PROMPTS, context_of(tmp_path, Cut()))


def test_lines_that_needed_care_are_reported_once(tmp_path: Path) -> None:
    def untidy(text: str, before: int) -> str | None:
        return "Sure!\n1 | 0, left\n2 | 1" if step_of(text) == "dependencies" else None

    context = context_of(tmp_path, Writer(untidy))
    evaluator = dsg()
    specs = evaluator.prepare(PROMPTS[:2], context)
    list(evaluator.observe(images(PROMPTS[:2]), specs, context))
    assert context.warnings == [
        "4 lines of written questions needed care; first: prompt 'p0': line 'Sure!': must have exactly one |, skipped"
    ]
    assert specs["p0"]["complaints"][1] == "question 1 depends on 'left': not a number, dropped"


MANY = [Prompt(id=f"p{i}", text=f"a {COLOURS[i % 4]} thing{i}") for i in range(70)]


def test_a_killed_writer_is_asked_for_no_prompt_twice(tmp_path: Path) -> None:
    whole = dsg().prepare(MANY, context_of(_made(tmp_path / "whole"), Writer()))
    folder = _made(tmp_path / "killed")
    first, second = Writer(), Writer()
    with pytest.raises(Interrupted):
        dsg().prepare(MANY, context_of(folder, first, interrupt_after=3))
    assert dsg().prepare(MANY, context_of(folder, second)) == whole
    assert list(whole) == [prompt.id for prompt in MANY]
    done, rest = ({prompt_of(text) for text in writer.texts} for writer in (first, second))
    assert len(done) == 64
    assert not done & rest
    assert len(done | rest) == 70


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_one_text_gets_the_same_request_wherever_it_stands(tmp_path: Path) -> None:
    here, there = Writer(), Writer()
    dsg().prepare(PROMPTS, context_of(_made(tmp_path / "a"), here))
    dsg().prepare([Prompt(id="other", text=PROMPTS[4].text)], context_of(_made(tmp_path / "b"), there))
    assert [r for r in here.asked if prompt_of(r.messages[-1].text) == PROMPTS[4].text] == there.asked


def test_conformance(tmp_path: Path) -> None:
    options = DsgOptions(writer=Slot("writer"), judge=Slot("judge"), attempts=1)
    context = context_of(tmp_path, Writer(lost))
    summary = check_evaluator(Dsg, options, items=images(), workdir=tmp_path, context=context)
    assert summary.mean == 100.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no questions; name a question file, or a chat model that writes them"),
        ({"benchmark": "b", "writer": Slot("w")}, "give either benchmark or writer"),
    ],
)
def test_questions_have_one_origin(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    found = DsgOptions(judge=Slot("j"), **options)
    ((_, line),) = found.needs()
    assert message in line
    with pytest.raises(UserError, match=f"^dsg: .*{message}"):
        Dsg(found).prepare(PROMPTS, context_of(tmp_path, Writer()))

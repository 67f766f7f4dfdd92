"""The evaluator with judges that fail, ramble, or weigh their choices; with captions that have no image."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from selma_plugins.tifa import embedding
from selma_plugins.tifa.choosing import likeliest_choice, literal_choice
from selma_plugins.tifa.evaluator import Tifa
from selma_plugins.tifa.options import TifaOptions
from selma_plugins.tifa.plugin import selma_evaluators

from selma_core.data import ChatReply, ChatRequest, Prompt, TextPart
from selma_core.errors import ArtifactError, StageError, UnknownNameError, UserError
from selma_core.options import Slot
from selma_core.protocols import Evaluator
from selma_core.testing import check_evaluator
from tests.tifa.kit import PROMPTS, RELEASED, Always, Released, context_of, entry_of, evaluate, images, tifa

COCO, DRAWBENCH = PROMPTS


def answers(value: str | None, *captions: Prompt, k: int = 0) -> dict[tuple[str, str], str | None]:
    """One answer to all questions about an image of each caption."""
    return {(f"{p.id}-{k}", q): value for p in captions for q in RELEASED["question_details"][p.id]}


def test_failed_calls_lower_the_coverage_not_the_mean(tmp_path: Path) -> None:
    lost = dict(list(answers(None, COCO).items())[:5])
    evaluator = tifa()
    specs, rows = evaluate(evaluator, images([COCO]), context_of(tmp_path, judge=Released(lost)))
    errors = [atom for atom in rows[0].atoms if atom.status == "error"]
    assert len(errors) == 5
    assert all(atom.value is None and atom.raw == "timed out" for atom in errors)
    summary = evaluator.aggregate(rows, specs, "literal")
    assert summary.mean == 100.0
    assert summary.coverage == pytest.approx(6 / 19)  # of all captions of the file, this one has an image


def test_captions_without_an_image_are_counted_and_named(tmp_path: Path) -> None:
    """SELMA's script scores the captions whose image exists, and says nothing of the others."""
    context = context_of(tmp_path, judge=Released())
    evaluator = tifa()
    specs, rows = evaluate(evaluator, images([COCO]), context)
    summary = evaluator.aggregate(rows, specs, "literal")
    assert (summary.mean, summary.n_prompts, summary.n_images) == (100.0, 1, 1)
    assert summary.coverage == pytest.approx(11 / 19)
    assert [prompt.prompt_id for prompt in summary.prompts if prompt.value is None] == ["drawbench_52"]
    assert context.warnings == [
        "1 of 2 captions have no image, first: drawbench_52; they lower the coverage, not the score "
        "(expect: given counts only what was drawn)"
    ]


def test_a_chosen_part_of_the_file_can_be_all_that_is_expected(tmp_path: Path) -> None:
    context = context_of(tmp_path, judge=Released())
    evaluator = tifa(expect="given")
    specs, rows = evaluate(evaluator, images([COCO]), context)
    assert evaluator.aggregate(rows, specs, "literal").coverage == 1.0
    assert context.warnings == []


def test_a_missing_sample_lowers_the_coverage_too(tmp_path: Path) -> None:
    evaluator = tifa()
    items = [item for item in images(PROMPTS, k=2) if item.item_id != "drawbench_52-1"]
    specs, rows = evaluate(evaluator, items, context_of(tmp_path, judge=Released()))
    assert evaluator.aggregate(rows, specs, "literal").coverage == pytest.approx(30 / 38)


def test_a_caption_is_the_mean_of_its_images(tmp_path: Path) -> None:
    judge = Released(answers("no idea", COCO, k=1))
    evaluator = tifa()
    specs, rows = evaluate(evaluator, images([COCO], k=2), context_of(tmp_path, judge=judge))
    prompt = next(p for p in evaluator.aggregate(rows, specs, "literal").prompts if p.prompt_id == COCO.id)
    assert (prompt.value, prompt.per_image) == (0.5, (1.0, 0.0))


@pytest.mark.parametrize(
    ("protocol", "show", "wanted"),
    [
        (
            "upstream",
            True,
            "Answer the multiple-choice question. Question: who is on the beach? "
            "Choices: surfer, swimmer, diver, skier Answer:",
        ),
        ("upstream", False, "Answer the question. Question: who is on the beach? Answer:"),
        ("selma", True, "Question: who is on the beach? Options: surfer, swimmer, diver, skier Answer:"),
        ("selma", False, "Question: who is on the beach? Answer:"),
    ],
)
def test_both_wordings(protocol: str, show: bool, wanted: str, tmp_path: Path) -> None:
    judge = Released()
    evaluate(tifa(protocol=protocol, show_choices=show), images([COCO]), context_of(tmp_path, judge=judge))
    assert judge.asked[1].messages[-1].parts[1] == TextPart(wanted)
    assert judge.asked[1].choices == ()


@pytest.mark.parametrize(
    ("options", "rules"),
    [
        ({"embedder": "m"}, ("official", "literal")),
        ({"outside": "wrong"}, ("literal",)),
        ({"answers": "logprobs"}, ("logprobs",)),
        ({"protocol": "selma", "embedder": "m"}, ("selma", "selma_literal")),
        ({"protocol": "selma", "answers": "logprobs"}, ("selma_logprobs",)),
    ],
)
def test_no_two_protocols_share_a_name(options: dict[str, str], rules: tuple[str, ...]) -> None:
    evaluator = tifa(**options)
    assert evaluator.info.rules == rules
    with pytest.raises(UnknownNameError, match="tifa asked in this way has no rule 'offical'"):
        evaluator.score((), {"questions": []}, "offical")


def test_an_answer_outside_the_choices_is_wrong_only_literally(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "SentenceEncoder", lambda name, context: Always("surfer"))
    judge = Released({(f"{COCO.id}-0", "who is on the beach?"): "a man who surfs"})
    evaluator, context = tifa(embedder="mpnet"), context_of(tmp_path, judge=judge)
    specs, rows = evaluate(evaluator, images([COCO]), context)
    values = {rule: evaluator.score(rows[0].atoms, specs[COCO.id], rule) for rule in evaluator.info.rules}
    assert values == {"official": 1.0, "literal": pytest.approx(10 / 11)}
    assert "1 of 11 answers are none of the choices; they count as the nearest by mpnet" in context.warnings


@pytest.mark.parametrize(
    ("answer", "choices", "wanted"),
    [
        ("surfer", ("surfer", "diver"), "surfer"),
        (" Surfer. ", ("surfer", "diver"), "surfer"),
        ("a surfer", ("surfer", "diver"), None),
        ("", ("surfer", "diver"), None),
        ("Red!", ("red", "Red."), None),
        ("Red.", ("red", "Red."), "Red."),
        ("?", ("!", "red"), None),
    ],
)
def test_literally_one_of_the_choices(answer: str, choices: tuple[str, ...], wanted: str | None) -> None:
    assert literal_choice(answer, choices) == wanted


class Weighing:
    """Gives every choice a probability; the first of them the highest, or all of them the same."""

    identity = "weighing"

    def __init__(self, *, ties: bool = False, silent: bool = False) -> None:
        self.ties, self.silent = ties, silent
        self.asked: list[ChatRequest] = []

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        self.asked += requests
        return [ChatReply(text=r.choices[0], choice_logprobs=self._logs(r.choices)) for r in requests]

    def _logs(self, choices: Sequence[str]) -> dict[str, float] | None:
        return None if self.silent else {c: math.log(0.2 if self.ties or i else 0.4) for i, c in enumerate(choices)}


def test_the_likeliest_choice_can_be_the_answer(tmp_path: Path) -> None:
    judge = Weighing()
    evaluator = tifa(answers="logprobs")
    specs, rows = evaluate(evaluator, images([DRAWBENCH]), context_of(tmp_path, judge=judge))
    questions = specs[DRAWBENCH.id]["questions"]
    assert [request.choices for request in judge.asked] == [tuple(q["choices"]) for q in questions]
    assert [atom.value for atom in rows[0].atoms] == [float(q["choices"][0] == q["answer"]) for q in questions]
    right = sum(q["choices"][0] == q["answer"] for q in questions)
    assert 0 < right < len(questions)
    assert evaluator.score(rows[0].atoms, specs[DRAWBENCH.id], "logprobs") == pytest.approx(right / len(questions))


def test_choices_that_cannot_be_told_apart_are_missing_data(tmp_path: Path) -> None:
    _, rows = evaluate(tifa(answers="logprobs"), images([COCO]), context_of(tmp_path, judge=Weighing(ties=True)))
    assert {(atom.status, atom.value) for atom in rows[0].atoms} == {("error", None)}
    assert likeliest_choice({"a": 0.1, "b": 0.1}) is None


def test_a_judge_without_probabilities_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="tifa is made of probabilities, and the judge 'weighing' gives none"):
        evaluate(tifa(answers="logprobs"), images([COCO]), context_of(tmp_path, judge=Weighing(silent=True)))


def test_foreign_prompts_and_other_texts_are_clear_errors(tmp_path: Path) -> None:
    context = context_of(tmp_path)
    with pytest.raises(UnknownNameError, match=r"'sample' \(2 prompts\) has no prompt 'coco_1'"):
        tifa().prepare([Prompt(id="coco_1", text="x")], context)
    with pytest.raises(UserError, match="different versions"):
        tifa().prepare([attrs.evolve(COCO, text="another caption")], context)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "a", "caption": "a cat"}], "caption 'a' has no questions; tifa needs a file with questions"),
        (
            [{"id": "a", "caption": "a cat", "question": "cat?", "choices": ["yes", "no"], "answer": "maybe"}],
            "caption 'a': the answer to 'cat?' is none of its choices",
        ),
    ],
)
def test_broken_question_files_are_named(rows: list[dict[str, object]], message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(rows))
    context = context_of(tmp_path, entry_of(path, "mine"))
    with pytest.raises(ArtifactError, match=message.replace("?", r"\?")):
        tifa(benchmark="mine").prepare([Prompt(id="a", text="a cat")], context)


@pytest.mark.parametrize(
    ("options", "option", "message"),
    [
        ({}, "benchmark", "no questions; name a question file, or a chat model that writes them"),
        ({"benchmark": "b", "writer": Slot("w")}, "writer", "give either benchmark or writer"),
        ({"benchmark": "b", "checker": Slot("c")}, "checker", "filters written questions only"),
        ({"benchmark": "b", "outside": "nearest"}, "embedder", "or set outside: wrong"),
    ],
)
def test_what_is_missing_is_said_before_a_run_starts(
    options: dict[str, Any], option: str, message: str, tmp_path: Path
) -> None:
    found = TifaOptions(**{"judge": Slot("j"), "outside": "wrong"} | options)
    ((where, line),) = found.needs()
    assert where == option
    assert message in line
    with pytest.raises(UserError, match=r"^tifa: "):
        Tifa(found).prepare(PROMPTS, context_of(tmp_path))


def test_nothing_is_missing() -> None:
    for options in (
        {"benchmark": "b", "embedder": "m"},
        {"benchmark": "b", "answers": "logprobs"},
        {"writer": Slot("w"), "checker": Slot("c"), "outside": "wrong"},
    ):
        assert list(TifaOptions(judge=Slot("j"), **options).needs()) == []  # type: ignore[arg-type]


def test_conformance(tmp_path: Path) -> None:
    """What every evaluator promises, here with a judge of which some calls fail."""
    lost = dict(list(answers(None, *PROMPTS).items())[::4])
    options = TifaOptions(benchmark="sample", judge=Slot("judge"))
    context = context_of(tmp_path, judge=Released(lost))
    record = next(selma_evaluators())
    check_evaluator(lambda o: tifa(), options, items=images(PROMPTS), workdir=tmp_path, context=context)
    assert isinstance(tifa(), Evaluator)
    assert (record.name, record.options) == ("tifa", TifaOptions)


def test_scoring_imports_no_torch() -> None:
    code = (
        "import sys; from selma_plugins.tifa.evaluator import Tifa; from selma_plugins.tifa.options import TifaOptions;"
        "from selma_core.options import Slot; from selma_core.data import Atom, ItemAtoms; import selma_core.scoring;"
        "t = Tifa(TifaOptions(benchmark='b', judge=Slot('j'), embedder='m'));"
        "q = dict(id='00', question='?', choices=['a', 'b'], answer='a', element_type='object', element='a');"
        "atoms = (Atom(key='00', value=1.0, data={'literal': True}),);"
        "specs = {'p': {'questions': [q], 'expected': 1}};"
        "assert t.score(atoms, specs['p'], 'official') == 1.0;"
        "rows = [ItemAtoms(item_id='p-0', prompt_id='p', k=0, atoms=atoms)];"
        "assert t.aggregate(rows, specs, 'literal').mean == 100;"
        "heavy = {'torch', 'transformers', 'diffusers', 'peft', 'scipy', 'PIL', 'httpx'} & sys.modules.keys();"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

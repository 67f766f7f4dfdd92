"""The evaluator with judges that answer, fail and ramble."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from selma_plugins.benchmarks.dsg_csv import read_benchmark
from selma_plugins.benchmarks.groups import group_of
from selma_plugins.evaluation.dsg import Dsg
from selma_plugins.evaluation.options import DSG_RULES, DsgOptions
from selma_plugins.evaluation.plugin import selma_evaluators
from selma_plugins.evaluation.rules import RULES

from selma_core.artifacts.scores import ScoreTable
from selma_core.data import ChatReply, ChatRequest, Entry, ImageItem, ImagePart, ItemAtoms, Prompt, TextPart
from selma_core.errors import ArtifactError, StageError, UnknownNameError, UserError
from selma_core.options import Slot, info
from selma_core.protocols import Evaluator
from selma_core.scoring import summarise
from selma_core.testing import FakeContext, check_evaluator

HEADER = (
    "item_id,text,keywords,proposition_id,dependency,category_broad,category_detailed,tuple,question_natural_language\n"
)
PROMPTS = 40


class Judge:
    """Answers by a function of (image name, question); keeps what it was asked."""

    identity = "scripted:judge"

    def __init__(self, answer: Callable[[str, str], str | None]) -> None:
        self.answer = answer
        self.calls: list[list[ChatRequest]] = []

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        self.calls.append(list(requests))
        answers = [self.answer(_image(r).path.stem, r.messages[-1].text.splitlines()[0]) for r in requests]
        return [ChatReply(error="timed out") if a is None else ChatReply(text=a) for a in answers]


def _image(request: ChatRequest) -> ImagePart:
    part = request.messages[-1].parts[0]
    assert isinstance(part, ImagePart), "the image comes first, so that a server can reuse what it saw of it"
    return part


def context_of(judge: Any, entry: Entry) -> FakeContext:
    components, entries = {("chat_model", "fake"): judge}, {("benchmarks", "tiny"): entry}
    return FakeContext(workdir=Path(), components=components, entries=entries)


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    """40 prompts of three questions: an object, its colour, and one more object."""
    rows = [
        f'left_{i},"a thing, number {i}",,{q},{parent},{broad},{detail},t,{text}\n'
        for i in range(PROMPTS)
        for q, parent, broad, detail, text in (
            (1, 0, "entity", "whole", "Is there a thing?"),
            (2, 1, "attribute", "color", "Is the thing red?"),
            (3, 0, "global", "-", "Is it dark?"),
        )
    ]
    path = tmp_path / "tiny.csv"
    path.write_text(HEADER + "".join(rows))
    data = {"file": "tiny.csv", "groups": {"left_1": "ones", "left": "rest"}}
    return Entry(section="benchmarks", name="tiny", provider="test", data=data, pin="0", path=path)


def items(count: int = PROMPTS, images: int = 1) -> list[ImageItem]:
    prompts = [Prompt(id=f"left_{i}", text=f"a thing, number {i}") for i in range(count)]
    return [
        ImageItem(item_id=f"{p.id}-{k}", prompt=p, path=Path(f"{p.id}-{k}.png"), sha256="0", k=k)
        for p in prompts
        for k in range(images)
    ]


def evaluate(
    judge: Judge, entry: Entry, images: Sequence[ImageItem], **options: Any
) -> tuple[Dsg, Mapping[str, Any], list[ItemAtoms], FakeContext]:
    evaluator = Dsg(DsgOptions(benchmark="tiny", judge=Slot("fake"), **options))
    context = context_of(judge, entry)
    specs = evaluator.prepare([image.prompt for image in images], context)
    return evaluator, specs, list(evaluator.observe(images, specs, context)), context


def lost(image: str, question: str) -> bool:
    """About every third call times out, whatever its answer would be."""
    return sum(map(ord, image + question)) % 3 == 0


def test_timeouts_lower_coverage_not_the_mean(entry: Entry) -> None:
    _, _, rows, context = evaluate(Judge(lambda i, q: None if lost(i, q) else "yes"), entry, items())
    evaluator, specs, _, _ = evaluate(Judge(lambda i, q: "yes"), entry, items())
    for rule in evaluator.info.rules:
        summary = evaluator.aggregate(rows, specs, rule)
        assert summary.mean == 100.0, rule
        assert 0.5 < summary.coverage < 0.8
    atoms = [atom for row in rows for atom in row.atoms]
    errors = [atom for atom in atoms if atom.status == "error"]
    assert errors
    assert all(atom.value is None and atom.raw == "timed out" for atom in errors)
    assert context.warnings == []


def test_a_judge_that_never_answers_gives_no_number(entry: Entry) -> None:
    evaluator, specs, rows, _ = evaluate(Judge(lambda i, q: None), entry, items())
    summary = evaluator.aggregate(rows, specs, "official")
    assert (summary.mean, summary.coverage, summary.n_prompts, summary.n_images) == (None, 0.0, 0, 0)


def test_missing_images_count_against_what_was_expected(entry: Entry) -> None:
    judge = Judge(lambda i, q: "yes")
    evaluator, specs, rows, _ = evaluate(judge, entry, items(images=2))
    assert evaluator.aggregate(rows, specs, "official").coverage == 1.0
    fewer = [row for row in rows if row.item_id not in {"left_0-1", "left_5-0", "left_5-1"}]
    summary = evaluator.aggregate(fewer, specs, "official")
    assert summary.coverage == pytest.approx(77 / 80)
    assert (summary.n_prompts, summary.n_images, summary.mean) == (39, 77, 100.0)


def test_a_prompt_is_the_mean_of_its_images(entry: Entry) -> None:
    evaluator, specs, rows, _ = evaluate(
        Judge(lambda i, q: "yes" if i.endswith("-0") else "no"), entry, items(count=1, images=2)
    )
    (prompt,) = evaluator.aggregate(rows, specs, "official").prompts
    assert (prompt.value, prompt.per_image, prompt.groups) == (0.5, (1.0, 0.0), ("rest",))


def test_atoms_hold_everything_a_reader_needs(entry: Entry) -> None:
    _, _, rows, _ = evaluate(Judge(lambda i, q: " Yes. "), entry, items(count=1))
    assert [atom.key for atom in rows[0].atoms] == ["1", "2", "3"]
    assert attrs.asdict(rows[0].atoms[1]) == {
        "key": "2",
        "value": 1.0,
        "raw": " Yes. ",
        "status": "ok",
        "data": {
            "question": "Is the thing red?",
            "dependency": "1",
            "category_broad": "attribute",
            "category_detailed": "color",
        },
    }


def test_categories_follow_the_rule(entry: Entry) -> None:
    judge = Judge(lambda i, q: "no" if "there a" in q else "yes")
    evaluator, specs, rows, _ = evaluate(judge, entry, items())
    assert evaluator.aggregate(rows, specs, "official").categories == {
        "attribute": 0.0,
        "attribute/color": 0.0,
        "entity": 0.0,
        "entity/whole": 0.0,
        "global": 100.0,
    }
    assert evaluator.aggregate(rows, specs, "nodep").categories["attribute/color"] == 100.0


def test_groups_are_first_match(entry: Entry) -> None:
    assert [group_of(key, entry) for key in ("left_1", "left_2", "other")] == ["ones", "rest", ""]
    evaluator, specs, rows, _ = evaluate(Judge(lambda i, q: "yes" if "left_1" in i else "no"), entry, items())
    assert evaluator.aggregate(rows, specs, "official").groups == {"rest": 0.0, "ones": 100.0}


def test_questions_of_an_image_stay_together(entry: Entry) -> None:
    judge = Judge(lambda i, q: "yes")
    evaluate(judge, entry, items(count=5), batch=2)
    assert [len(call) for call in judge.calls] == [6, 6, 3]
    assert [_image(r).path.stem for r in judge.calls[0]] == ["left_0-0"] * 3 + ["left_1-0"] * 3
    part = judge.calls[0][0].messages[-1].parts[1]
    assert part == TextPart("Is there a thing?\nAnswer only yes or no.")


def test_batch_changes_nothing(entry: Entry) -> None:
    judge = Judge(lambda i, q: "yes" if lost(i, q) else "no")
    tables = [evaluate(judge, entry, items(), batch=size)[2] for size in (1, 7, 100)]
    assert tables[0] == tables[1] == tables[2]


def test_unclear_answers_are_counted(entry: Entry) -> None:
    _, _, rows, context = evaluate(Judge(lambda i, q: "yes, clearly"), entry, items(count=2))
    assert all(atom.value == 0.0 for row in rows for atom in row.atoms)
    assert context.warnings == ["6 of 6 answers are neither yes nor no; they score 0"]


def test_judge_is_named_by_its_identity(entry: Entry) -> None:
    evaluator, specs, rows, _ = evaluate(Judge(lambda i, q: "yes"), entry, items(count=1))
    assert Dsg(DsgOptions(benchmark="tiny", judge=Slot("fake"))).info.judge == "fake"
    assert evaluator.info.judge == "scripted:judge"
    table = ScoreTable(info=evaluator.info, specs=specs, rows=tuple(rows))
    assert summarise(Dsg(DsgOptions(benchmark="tiny", judge=Slot("fake"))), table).judge == "scripted:judge"


def test_conformance(entry: Entry, tmp_path: Path) -> None:
    """What every evaluator promises, here with a judge of which a third of the calls fail."""
    judge = Judge(lambda i, q: None if lost(i, q) else "yes")
    options = DsgOptions(benchmark="tiny", judge=Slot("fake"))
    summary = check_evaluator(Dsg, options, items=items(), workdir=tmp_path, context=context_of(judge, entry))
    assert summary.mean == 100.0


def test_foreign_prompt_is_a_clear_error(entry: Entry) -> None:
    evaluator = Dsg(DsgOptions(benchmark="tiny", judge=Slot("fake")))
    with pytest.raises(UnknownNameError, match=r"'tiny' \(40 prompts\) has no prompt 'count-1'; draw the images from"):
        evaluator.prepare([Prompt(id="count-1", text="x")], context_of(None, entry))


def test_other_text_under_a_known_id_is_a_clear_error(entry: Entry) -> None:
    evaluator = Dsg(DsgOptions(benchmark="tiny", judge=Slot("fake")))
    with pytest.raises(UserError, match="different versions"):
        evaluator.prepare([Prompt(id="left_1", text="another thing")], context_of(None, entry))


def test_a_judge_that_swallows_requests_is_named(entry: Entry) -> None:
    judge = Judge(lambda i, q: "yes")
    judge.reply = lambda requests: [ChatReply(text="yes")]  # type: ignore[method-assign]
    with pytest.raises(StageError, match="'scripted:judge' gave 1 replies to 3 requests"):
        evaluate(judge, entry, items(count=1))


def test_bad_dependencies_are_reported_once(entry: Entry) -> None:
    assert entry.path is not None
    entry.path.write_text(
        entry.path.read_text().replace('left_3,"a thing, number 3",,2,1,', 'left_3,"a thing, number 3",,2,"1, red",')
    )
    _, _, _, context = evaluate(Judge(lambda i, q: "yes"), entry, items())
    assert context.warnings == [
        "1 dependencies in benchmark 'tiny' need care; first: prompt 'left_3': question 2 depends on ' red': "
        "not a number, dropped"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("item_id,text\n1,a\n", "not in DSG's CSV format: no column proposition_id, dependency"),
        (HEADER + "a,t,,1,0,e,w,t,q\na,t,,1,0,e,w,t,q\n", "prompt 'a' has question 1 twice"),
        (HEADER + "a,t\n", "prompt 'a' has a row with too few columns"),
    ],
)
def test_broken_benchmark_files_are_named(entry: Entry, text: str, message: str) -> None:
    assert entry.path is not None
    entry.path.write_text(text)
    with pytest.raises(ArtifactError, match=message):
        read_benchmark(entry)


def test_missing_benchmark_file_is_named(entry: Entry) -> None:
    with pytest.raises(ArtifactError, match=r"benchmark 'tiny': cannot read .*gone\.csv"):
        read_benchmark(attrs.evolve(entry, path=Path("gone.csv")))


def test_rule_and_batch_stay_out_of_the_fingerprint() -> None:
    matters = {field.name: info(field).changes_results for field in attrs.fields(DsgOptions)}
    assert {name for name, yes in matters.items() if not yes} == {"rule", "batch"}


def test_chosen_rule_comes_first() -> None:
    options = DsgOptions(benchmark="b", judge=Slot("j"), rule="selma")
    assert Dsg(options).info.rules[0] == "selma"
    assert len(set(Dsg(options).info.rules)) == 6


def test_a_template_without_the_question_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must contain \{question\}, not 'answer!'"):
        DsgOptions(benchmark="b", judge=Slot("j"), question_template="answer!")


def test_every_rule_can_be_chosen_by_name() -> None:
    assert set(DSG_RULES) == set(RULES)


def test_record_builds_an_evaluator() -> None:
    record = next(selma_evaluators())
    assert (record.name, record.options) == ("dsg", DsgOptions)
    assert isinstance(Dsg(DsgOptions(benchmark="b", judge=Slot("j"))), Evaluator)

"""TIFA's questions written by a chat model and filtered by one: what is kept, what is lost, what is resumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from selma_plugins.tifa.evaluator import Tifa
from selma_plugins.tifa.filtering import WITH_CHOICES, WITHOUT
from selma_plugins.tifa.options import TifaOptions

from selma_core.data import ChatReply, ChatRequest, Prompt
from selma_core.errors import StageError
from selma_core.options import Slot
from selma_core.testing import FakeContext, Interrupted, check_evaluator
from tests.tifa.kit import images

PROMPTS = [Prompt(id=f"p{i}", text=f"two red cats{i}", meta={"group": "g"}) for i in range(4)]


def written(caption: str) -> str:
    """Four questions about `two red catsN`."""
    thing = caption.rsplit(maxsplit=1)[-1]
    return (
        f"animal/human | {thing} | are there {thing}? | yes; no | yes\n"
        f"animal/human | {thing} | who is there? | {thing}; dogs; cows; birds | {thing}\n"
        f"counting | {thing} | how many {thing} are there? | 1; 2; 3; 4 | 2\n"
        f"color | {thing} | what color are the {thing}? | red; blue; green; white | red"
    )


def answer(question: str, caption: str) -> str:
    """What the caption says."""
    thing = caption.rsplit(maxsplit=1)[-1]
    return {"are": "yes", "who": thing, "how": "two", "what": "red"}[question.split(maxsplit=1)[0]]


class Model:
    """Writes by `written` and checks by `answer`, but where `spoil` gives another reply; "" = a failed call.

    `spoil` gets (what is asked for, its caption, its question, how often before).
    """

    def __init__(
        self, name: str = "fake:model", spoil: Callable[[str, str, str, int], str | None] = lambda *_: None
    ) -> None:
        self.identity = name
        self._spoil = spoil
        self.asked: list[tuple[str, str, str]] = []
        self.requests: list[ChatRequest] = []

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        self.requests += requests
        return [self._one(request.messages[-1].text) for request in requests]

    def _one(self, text: str) -> ChatReply:
        what, caption, question = _parse(text)
        found = self._spoil(what, caption, question, self.asked.count((what, caption, question)))
        self.asked.append((what, caption, question))
        if found is None:
            found = written(caption) if what == "write" else answer(question, caption)
            # the choice is asked for in its own words
            found = "2" if what == "choose" and found == "two" else found
        return ChatReply(text=found) if found else ChatReply(error="timed out")

    def kinds(self) -> list[str]:
        """What was asked for, in order."""
        return [what for what, _, _ in self.asked]


def _parse(text: str) -> tuple[str, str, str]:
    if not text.startswith("Caption: "):
        return "write", text.rpartition("\n\ninput: ")[2].split("\n")[0], ""
    caption, question = (line.partition(": ")[2] for line in text.split("\n")[:2])
    choose = WITH_CHOICES.split("\n")[3] in text
    assert choose or WITHOUT.split("\n")[2] in text
    return "choose" if choose else "free", caption, question


class Judge:
    """Says what the image's prompt says."""

    identity = "judge"

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        return [ChatReply(text=self._one(request.messages[-1].text)) for request in requests]

    def _one(self, text: str) -> str:
        question = text.partition("Question: ")[2].split(" Choices:")[0]
        thing = text.partition("Choices: ")[2].split(",")[0]
        found = answer(question, thing)
        return "2" if found == "two" else found


def tifa(**options: Any) -> Tifa:
    return Tifa(TifaOptions(**{"writer": Slot("writer"), "judge": Slot("judge"), "outside": "wrong"} | options))


def context_of(workdir: Path, writer: Model, checker: Model | None = None, **options: Any) -> FakeContext:
    models = {"writer": writer, "checker": checker, "judge": Judge()}
    return FakeContext(workdir=workdir, components={("chat_model", key): m for key, m in models.items()}, **options)


def test_questions_of_a_caption(tmp_path: Path) -> None:
    model = Model()
    spec = tifa().prepare(PROMPTS[:1], context_of(tmp_path, model))["p0"]
    assert [(q["id"], q["question"], q["answer"], q["element_type"]) for q in spec["questions"]] == [
        ("00", "are there cats0?", "yes", "animal/human"),
        ("01", "who is there?", "cats0", "animal/human"),
        ("02", "how many cats0 are there?", "2", "counting"),
        ("03", "what color are the cats0?", "red", "color"),
    ]
    assert spec["questions"][2]["choices"] == ["1", "2", "3", "4"]
    assert (spec["text"], spec["groups"], spec["expected"]) == ("two red cats0", ["g"], 4)
    assert (spec["dropped"], spec["complaints"]) == ([], [])
    assert (spec["written_by"], spec["checked_by"]) == ("fake:model", "fake:model")
    # yes and no are not asked for freely: whatever was said would be one of the two
    assert model.kinds() == ["write", *["choose"] * 4, *["free"] * 3]


def test_a_checker_of_its_own(tmp_path: Path) -> None:
    writer, checker = Model("writer"), Model("checker")
    specs = tifa(checker=Slot("checker")).prepare(PROMPTS, context_of(tmp_path, writer, checker))
    assert set(writer.kinds()) == {"write"}
    assert set(checker.kinds()) == {"choose", "free"}
    assert {(spec["written_by"], spec["checked_by"]) for spec in specs.values()} == {("writer", "checker")}


def dropped_by(spoil: Callable[[str, str, str, int], str | None], workdir: Path) -> list[tuple[str, str]]:
    """(question, reason) of what the filter refuses for one caption."""
    spec = tifa().prepare(PROMPTS[:1], context_of(workdir, Model(spoil=spoil)))["p0"]
    assert len(spec["questions"]) + len(spec["dropped"]) >= 4
    return [(one["question"], one["reason"]) for one in spec["dropped"]]


def saying(what: str, question: str, reply: str) -> Callable[[str, str, str, int], str | None]:
    return lambda kind, caption, asked, before: reply if (kind, asked) == (what, question) else None


def test_a_question_that_is_there_twice_is_asked_once(tmp_path: Path) -> None:
    twice = written(PROMPTS[0].text) + "\nanimal/human | cats | Are there cats0? | yes; no | no"
    found = dropped_by(lambda what, *_: twice if what == "write" else None, tmp_path)
    assert found == [("Are there cats0?", "the caption has this question already")]


def test_the_caption_alone_must_give_the_right_choice(tmp_path: Path) -> None:
    found = dropped_by(saying("choose", "what color are the cats0?", "Blue."), tmp_path)
    assert found == [("what color are the cats0?", "by the caption alone the choice is 'Blue.', not 'red'")]


def test_the_free_answer_must_have_its_words(tmp_path: Path) -> None:
    found = dropped_by(saying("free", "what color are the cats0?", "the cats are red"), tmp_path)
    assert found == [
        ("what color are the cats0?", "by the caption alone the answer is 'the cats are red', too far from 'red'")
    ]


def test_an_article_more_is_near_enough(tmp_path: Path) -> None:
    assert dropped_by(saying("free", "who is there?", "the cats0\nBecause it says so."), tmp_path) == []


def test_an_unanswered_check_lowers_the_coverage_not_the_mean(tmp_path: Path) -> None:
    context = context_of(tmp_path, Model(spoil=saying("free", "who is there?", "")))
    evaluator = tifa()
    specs = evaluator.prepare(PROMPTS[:2], context)
    assert [one["reason"] for one in specs["p0"]["dropped"]] == ["the checker gave no answer: timed out"]
    rows = list(evaluator.observe(images(PROMPTS[:2]), specs, context))
    summary = evaluator.aggregate(rows, specs, "literal")
    assert (summary.mean, summary.coverage) == (100.0, 0.75)


def test_a_failed_check_is_tried_again(tmp_path: Path) -> None:
    def first(what: str, caption: str, question: str, before: int) -> str | None:
        return "" if what != "write" and not before else None

    model = Model(spoil=first)
    specs = tifa().prepare(PROMPTS, context_of(tmp_path, model))
    assert all(len(spec["questions"]) == 4 for spec in specs.values())
    assert model.kinds().count("choose") == 32


def hopeless(what: str, caption: str, question: str, before: int) -> str | None:
    """Nothing useful is written about one caption; of another no question passes the filter."""
    if what == "write" and caption.endswith("1"):
        return "I cannot do that."
    return "maybe" if what == "choose" and caption.endswith("2") else None


def test_captions_without_questions_lower_the_coverage_not_the_mean(tmp_path: Path) -> None:
    context = context_of(tmp_path, Model(spoil=hopeless))
    evaluator = tifa()
    specs = evaluator.prepare(PROMPTS, context)
    assert {key: spec["unwritten"] for key, spec in specs.items() if "unwritten" in spec} == {
        "p1": "no line of the questions could be read",
        "p2": "the filter dropped all 4: by the caption alone the choice is 'maybe', not 'yes'",
    }
    rows = list(evaluator.observe(images(PROMPTS, k=2), specs, context))
    summary = evaluator.aggregate(rows, specs, "literal")
    assert (summary.mean, summary.n_prompts, summary.n_images, summary.coverage) == (100.0, 2, 4, 0.5)
    assert {atom.status for row in rows for atom in row.atoms if row.prompt_id in ("p1", "p2")} == {"skipped"}
    assert context.warnings == [
        "2 of 4 prompts have no questions, first: 'p1' (no line of the questions could be read); they lower the "
        "coverage, not the score"
    ]


def test_a_useless_reply_is_asked_for_again_with_another_seed(tmp_path: Path) -> None:
    model = Model(spoil=lambda what, caption, question, before: "no" if what == "write" and before < 2 else None)
    specs = tifa(attempts=3).prepare(PROMPTS[:1], context_of(tmp_path, model))
    assert len(specs["p0"]["questions"]) == 4
    requests = model.requests[:3]
    assert len({request.seed for request in requests}) == 3
    assert [request.temperature > 0 for request in requests] == [False, True, True]


def test_a_caption_is_given_up_after_its_attempts(tmp_path: Path) -> None:
    model = Model(spoil=lambda what, *_: "no" if what == "write" else None)
    with pytest.raises(StageError, match="no prompt has questions; first: 'p0'"):
        tifa(attempts=2).prepare(PROMPTS[:1], context_of(tmp_path, model))
    assert model.kinds() == ["write", "write"]


def test_a_killed_writer_is_asked_about_no_caption_twice(tmp_path: Path) -> None:
    many = [Prompt(id=f"p{i}", text=f"two red cats{i}") for i in range(40)]
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = tifa().prepare(many, context_of(tmp_path / "whole", Model()))
    first, second = Model(), Model()
    with pytest.raises(Interrupted):
        tifa().prepare(many, context_of(tmp_path / "killed", first, interrupt_after=2))
    assert tifa().prepare(many, context_of(tmp_path / "killed", second)) == whole
    assert (first.kinds().count("write"), second.kinds().count("write")) == (32, 8)


def test_conformance(tmp_path: Path) -> None:
    options = TifaOptions(writer=Slot("writer"), judge=Slot("judge"), outside="wrong")
    context = context_of(tmp_path, Model(spoil=hopeless))
    assert check_evaluator(Tifa, options, items=images(PROMPTS), workdir=tmp_path, context=context).mean == 100.0

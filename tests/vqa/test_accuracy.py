"""Semantic accuracy: questions from the prompt, strict reading of replies, accuracy per category."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selma_plugins.benchmarks.read import read_items
from selma_plugins.vqa.accuracy import SemanticAccuracy, right
from selma_plugins.vqa.named import NUMBERS, questions
from selma_plugins.vqa.options import CATEGORIES, SemanticAccuracyOptions

from selma_core.catalog import Catalog
from selma_core.data import Prompt
from selma_core.errors import ArtifactError, UnknownNameError
from selma_core.registry import Registry
from selma_core.testing import check_evaluator
from tests.vqa.kit import JUDGE, Words, context_of, evaluate, images, lost

COLOR = Prompt(id="color_000", text="a green bench and a blue bowl", meta={"group": "color"})
COUNT = Prompt(id="numeracy_000", text="two dogs and one red bird", meta={"group": "numeracy"})
ACTION = Prompt(id="non_spatial_000", text="A man is reading on a red bench and eating.", meta={"group": "non_spatial"})
FREE = Prompt(id="own", text="Two men are carrying a black and white box.")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry(Catalog.discover(select="selma", strict=False).registry_sources())


TRUTH = {
    "What color is the bench?": "Green.",
    "What color is the bowl?": "red",
    "How many dogs are there?": "2",
    "How many red birds are there?": "three",
    "Is the man reading on a red bench?": "Yes.",
    "Is the man eating?": "no",
    "What color is the box?": "It is white and black",
    "How many men are there?": "two men",
    "Are the two men carrying a black and white box?": "yes",
}


def options(**values: Any) -> SemanticAccuracyOptions:
    return SemanticAccuracyOptions(judge=JUDGE, **values)


def judge() -> Words:
    return Words(lambda names, text: TRUTH[text.splitlines()[0]])


def asked(text: str, *categories: str) -> list[tuple[str, str]]:
    return [(one.question, one.answer) for one in questions(text, categories or CATEGORIES)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a grey cat and a blue orange", [("What color is the cat?", "gray"), ("What color is the orange?", "blue")]),
        ("white cupboards with black counter tops", [
            ("What color are the cupboards?", "white"), ("What color are the counter tops?", "black")]),
        ("a black and white shower curtain", [("What color is the shower curtain?", "black white")]),
        ("a red apple and a green apple", []),  # neither can be asked for by its name
        ("an orange", []),
    ],
)  # fmt: skip
def test_colours_are_asked_openly(text: str, found: list[tuple[str, str]]) -> None:
    assert asked(text, "color") == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("one person, Three sheep and two traffic lights", [("people", "one"), ("sheep", "three"),
            ("traffic lights", "two")]),
        ("one cherry flew alongside two buses", [("cherries", "one"), ("buses", "two")]),
        ("eight cats lounged in the sun", [("cats", "eight")]),
        ("a dog with a bone", []),
        ("two dogs and two dogs", [("dogs", "two")]),
        ("two dogs and three dogs", []),
    ],
)  # fmt: skip
def test_numbers_are_asked_without_saying_the_answer(text: str, found: list[tuple[str, str]]) -> None:
    assert asked(text, "counting") == [(f"How many {name} are there?", answer) for name, answer in found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A person is walking with a friend and happily talking about plans.",
            ["Is the person walking with a friend?", "Is the person happily talking about plans?"]),
        ("Two men are bungee jumping off a bridge", ["Are the two men bungee jumping off a bridge?"]),
        ("The dog was lying on a mat and a ring.", ["Is the dog lying on a mat and a ring?"]),
        ("A team is competing, pushing on.", ["Is the team competing?", "Is the team pushing on?"]),
        ("A cat sleeps. Anna is painting a building and everything.", ["Is Anna painting a building and everything?"]),
        ("There is nothing in the morning.", []),
        ("A baker kneaded the dough.", []),
    ],
)  # fmt: skip
def test_actions_are_asked_one_by_one(text: str, found: list[str]) -> None:
    assert asked(text, "action") == [(question, "yes") for question in found]


@given(st.text(alphabet="abdeginorstw ,.'-\n12", max_size=60))
def test_any_text_can_be_asked_about(text: str) -> None:
    found = questions(text)
    assert len({one.question for one in found}) == len(found)
    assert all(right(one.category, one.answer, one.answer) for one in found)


def test_the_released_prompts_have_something_to_ask(registry: Registry) -> None:
    items = read_items(registry.entry("benchmarks", "t2i_compbench_semantic")).values()
    assert len(items) == 900
    parts = {"color": "color", "numeracy": "counting", "non_spatial": "action"}
    bare = {group: 0 for group in parts}
    for item in items:
        bare[item.group] += not questions(item.text, [parts[item.group]])
    assert bare == {"color": 3, "numeracy": 0, "non_spatial": 11}


def test_a_part_that_is_not_there_is_named(registry: Registry) -> None:
    import attrs

    entry = registry.entry("benchmarks", "t2i_compbench_semantic")
    with pytest.raises(ArtifactError, match=r"parts: .* has no 'colour'; did you mean 'color'"):
        read_items(attrs.evolve(entry, data={**entry.data, "parts": ["colour"]}))


@pytest.mark.parametrize(
    ("category", "answer", "reply", "found"),
    [
        ("color", "gray", "Grey.", True),
        ("color", "gray", "grey and white", False),
        ("color", "black white", "White, black", True),
        ("color", "red", "I cannot see one", None),
        ("counting", "two", "There are 2 dogs.", True),
        ("counting", "two", "12", False),
        ("counting", "ten", "ten", True),
        ("counting", "two", "two or three", None),
        ("counting", "one", "none", False),
        ("counting", "one", "many", None),
        ("action", "yes", "Yes!", True),
        ("action", "yes", "no", False),
        ("action", "yes", "yes, probably", None),
    ],
)
def test_replies_are_read_strictly(category: str, answer: str, reply: str, found: bool | None) -> None:
    assert right(category, answer, reply) is found


@given(st.sampled_from(NUMBERS[1:]), st.sampled_from(NUMBERS[1:]))
def test_words_and_digits_are_the_same_number(one: str, other: str) -> None:
    assert right("counting", one, str(NUMBERS.index(other))) is (one == other)


def test_accuracy_per_category_by_hand() -> None:
    evaluator = SemanticAccuracy(options())
    words = judge()
    specs, rows = evaluate(evaluator, images([COLOR, COUNT, ACTION, FREE]), context_of(words))
    summary = evaluator.aggregate(rows, specs, "mean")
    assert [prompt.value for prompt in summary.prompts] == [0.5, 0.5, 0.5, 1.0]
    assert summary.mean == pytest.approx(62.5)
    # of 3, 3 and 3 questions: a prompt of a benchmark's part is asked about that part only
    assert summary.categories == pytest.approx({"action": 200 / 3, "color": 200 / 3, "counting": 200 / 3})
    assert summary.groups == pytest.approx({"color": 50, "numeracy": 50, "non_spatial": 50})
    assert evaluator.aggregate(rows, specs, "all").mean == pytest.approx(25)
    assert words.asked[0].messages[0].text == "What color is the bench?\nAnswer in one word."
    with pytest.raises(UnknownNameError, match="semantic_accuracy has no rule 'most'"):
        evaluator.score(rows[0].atoms, specs["own"], "most")


def test_one_category_is_a_metric_of_its_own() -> None:
    """So that each has its interval and its comparison with the unadapted model in a report."""
    evaluator, words, context = SemanticAccuracy(options(categories=["color"])), judge(), context_of(judge())
    context = context_of(words)
    bare = Prompt(id="color_001", text="Many stoplights flash yellow.", meta={"group": "color"})
    specs, rows = evaluate(evaluator, images([COLOR, COUNT, ACTION, bare]), context)
    assert evaluator.info.name == "color_accuracy"
    assert [len(row.atoms) for row in rows] == [2, 0, 0, 0]
    summary = evaluator.aggregate(rows, specs, "mean")
    assert (summary.mean, summary.n_prompts, summary.coverage) == (50.0, 1, 1.0)
    assert context.warnings == ["color_accuracy: 1 of 4 prompts have nothing to ask about (color)"]


def test_a_lost_answer_is_missing_and_an_unclear_one_is_wrong() -> None:
    evaluator = SemanticAccuracy(options())
    words = Words(lambda names, text: None if "bench" in text else "I cannot tell")
    context = context_of(words)
    specs, rows = evaluate(evaluator, images([COLOR]), context)
    assert [atom.status for atom in rows[0].atoms] == ["error", "ok"]
    summary = evaluator.aggregate(rows, specs, "mean")
    assert (summary.mean, summary.coverage) == (0.0, 0.5)
    assert evaluator.score(rows[0].atoms, specs["color_000"], "all") == 0
    assert context.warnings == ["1 of 1 answers name no colour, no single number, no yes or no; 0"]
    good = evaluate(evaluator, images([COLOR]), context_of(Words(lambda n, t: None if "bench" in t else "blue")))[1]
    assert evaluator.score(good[0].atoms, specs["color_000"], "all") is None


def test_wrong_categories_are_named() -> None:
    with pytest.raises(ValueError, match="has no category 'colour': did you mean 'color'"):
        options(categories=["colour"])
    with pytest.raises(ValueError, match="needs at least one of action, color, counting"):
        options(categories=[])


def test_conformance(tmp_path: Path) -> None:
    words = Words(lambda names, text: None if lost(names[0], text) else TRUTH[text.splitlines()[0]])
    every = images([COLOR, COUNT, ACTION, FREE], k=3)
    check_evaluator(SemanticAccuracy, options(), items=every, workdir=tmp_path, context=context_of(words))

"""T2I-CompBench's attribute binding: phrases, questions, products."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from selma_plugins.benchmarks.read import read_items
from selma_plugins.vqa.compbench import OTHER_PARTS, CompBench
from selma_plugins.vqa.options import CompBenchOptions
from selma_plugins.vqa.phrases import asked, template_phrases

from selma_core.data import Entry, Prompt
from selma_core.errors import UserError
from selma_core.testing import check_evaluator
from tests.vqa.kit import JUDGE, Judge, context_of, evaluate, images, lost

GREEN = Prompt(id="color_000", text="a green bench and a blue bowl", meta={"group": "color"})
CUBE = Prompt(id="shape_000", text="a cubic block and a cylindrical can of soup", meta={"group": "shape"})


def options(**values: Any) -> CompBenchOptions:
    return CompBenchOptions(judge=JUDGE, **values)


@pytest.fixture(scope="module")
def released(root: Path) -> Entry:
    folder = root / "registry" / "selma_registry" / "benchmarks"
    fields = yaml.safe_load((folder / "t2i_compbench.yaml").read_text())
    return Entry(
        section="benchmarks",
        name="t2i_compbench",
        provider="test",
        data=fields,
        pin="0",
        path=folder / fields["file"],
    )


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("a green bench and a blue bowl", ["a green bench", "a blue bowl"]),
        ("an oval pizza and a round pizza cutter.", ["an oval pizza", "a round pizza cutter"]),
        ("rubber gloves and a metallic door knob", ["rubber gloves", "a metallic door knob"]),
        ("a cubic book and a cylindrical can of soup", ["a cubic book", "a cylindrical can", "soup"]),
        (
            "a white bathroom with a black and white shower curtain",
            ["a white bathroom", "a black and white shower curtain"],
        ),
        (
            "The wooden bookshelf and metallic bookends hold the plastic books for the fluffy reader.",
            ["The wooden bookshelf", "metallic bookends", "the plastic books", "the fluffy reader"],
        ),
        (
            "The man on the large pink motorcycle has black chaps.",
            ["The man", "the large pink motorcycle", "black chaps"],
        ),
        ("the", ["the"]),
    ],
)
def test_phrases_of_the_templates(text: str, phrases: list[str]) -> None:
    """The same as spaCy's en_core_web_sm 3.8 gives, but for the last."""
    assert template_phrases(text) == phrases


def test_phrases_of_every_released_prompt(released: Entry) -> None:
    """Each of 900 prompts has a question; those of the bare template have two, one for each half."""
    prompts = [item for item in read_items(released).values() if item.group in ("color", "shape", "texture")]
    assert len(prompts) == 900
    for item in prompts:
        found = template_phrases(item.text)
        assert found
        halves = item.text.rstrip(".").split(" and ")
        if len(halves) == 2 and all(len(half.split()) == 3 and half.split()[0] in ("a", "an") for half in halves):
            assert found == halves


@given(st.text(max_size=60))
def test_any_text_gives_phrases_or_itself(text: str) -> None:
    for phrase in template_phrases(text):
        assert all(word in text for word in phrase.split())


def test_skipped_phrases_and_the_limit_of_eight() -> None:
    assert asked(["the left", "a cat", "top", "The left", "the side", "the right"]) == ["a cat", "The left"]
    assert asked([f"cat {i}" for i in range(12)]) == [f"cat {i}" for i in range(8)]


def test_product_of_normalised_answers_by_hand() -> None:
    table = {"a green bench?": (0.6, 0.2), "a blue bowl?": (0.2, 0.2), "a cubic block?": (0.9, 0.0)}
    judge = Judge(lambda i, q, c: dict(zip(c, table.get(q, (0.1, 0.3)), strict=True)))
    evaluator = CompBench(options())
    specs, rows = evaluate(evaluator, images([GREEN, CUBE]), context_of(judge))
    summary = evaluator.aggregate(rows, specs, evaluator.info.rules[0])
    # 0.75 x 0.5; 1 x 0.25 x 0.25 (`a cylindrical can`, `soup`)
    assert [prompt.value for prompt in summary.prompts] == pytest.approx([0.375, 0.0625])
    assert summary.groups == pytest.approx({"color": 37.5, "shape": 6.25})
    assert summary.rule == "product.template"
    assert [(atom.key, atom.data["phrase"]) for atom in rows[0].atoms] == [
        ("00", "a green bench"),
        ("01", "a blue bowl"),
    ]
    assert judge.calls[0][0].choices == ("yes", "no")


def test_an_image_with_a_lost_answer_has_no_product() -> None:
    """The product of the rest would be too good."""
    judge = Judge(lambda i, q, c: None if "bowl" in q else {"yes": 0.5, "no": 0.5})
    evaluator = CompBench(options())
    specs, rows = evaluate(evaluator, images([GREEN, CUBE]), context_of(judge))
    summary = evaluator.aggregate(rows, specs, "product.template")
    assert [prompt.value for prompt in summary.prompts] == [None, 0.125]
    assert summary.coverage == pytest.approx(4 / 5)


def test_timeouts_lower_coverage_not_the_mean() -> None:
    judge = Judge(lambda i, q, c: None if lost(i, q) else {"yes": 0.5, "no": 0.5})
    evaluator = CompBench(options())
    specs, rows = evaluate(evaluator, images([GREEN], k=20), context_of(judge))
    summary = evaluator.aggregate(rows, specs, "product.template")
    assert summary.mean == pytest.approx(25)
    assert 0.4 < summary.coverage < 0.9
    assert 0 < summary.n_images < 20


@pytest.mark.parametrize("part", OTHER_PARTS)
def test_parts_that_need_a_detector_are_not_scored(part: str) -> None:
    other = Prompt(id=f"{part}_000", text="a cat left of a dog", meta={"group": part})
    judge = Judge(lambda i, q, c: {"yes": 0.5, "no": 0.5})
    evaluator, context = CompBench(options()), context_of(judge)
    specs, rows = evaluate(evaluator, images([GREEN, other]), context)
    assert [len(row.atoms) for row in rows] == [2, 0]
    summary = evaluator.aggregate(rows, specs, "product.template")
    assert (summary.mean, summary.coverage, summary.n_prompts) == (25.0, 1.0, 1)
    assert context.warnings == [
        "1 of 2 prompts are not scored: they have no noun phrase, or are of a category that needs a detector "
        "(spatial, 3d_spatial, numeracy, non_spatial, complex)"
    ]


def test_spacy_is_asked_for_by_name_and_named_in_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in with spaCy's interface, as the real one is an extra that is not installed for tests."""
    chunks = [SimpleNamespace(text=text) for text in ("a green bench", "the left")]
    nlp: Any = lambda text: SimpleNamespace(noun_chunks=chunks)  # noqa: E731
    module = ModuleType("spacy")
    holder = type("Pipeline", (), {"__call__": lambda self, text: nlp(text), "meta": {"version": "3.8.0"}})
    module.load = lambda name: holder()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spacy", module)
    judge = Judge(lambda i, q, c: {"yes": 0.5, "no": 0.5})
    evaluator = CompBench(options(phrases="spacy"))
    specs, rows = evaluate(evaluator, images([GREEN]), context_of(judge))
    assert judge.questions == ["a green bench?"]
    assert specs["color_000"]["found_by"] == "spacy en_core_web_sm 3.8.0"
    assert evaluator.info.rules == ("product.spacy",)
    assert evaluator.aggregate(rows, specs, "product.spacy").mean == 50
    with pytest.raises(UserError, match=r"found by spacy en_core_web_sm 3\.8\.0, so not scored as 'product\.template'"):
        CompBench(options()).aggregate(rows, specs, "product.template")


def test_spacy_that_is_not_there_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(UserError, match=r"pip install 'selma\[spacy\]' && python -m spacy download en_core_web_sm; or"):
        CompBench(options(phrases="spacy")).prepare([GREEN], context_of(None))


def test_conformance(tmp_path: Path) -> None:
    judge = Judge(lambda i, q, c: None if lost(i, q) else {"yes": 0.5, "no": 0.5})
    check_evaluator(CompBench, options(), items=images([GREEN, CUBE], k=3), workdir=tmp_path, context=context_of(judge))


def test_a_prompt_without_a_noun_phrase_is_not_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The released script leaves its product of nothing at 1."""
    monkeypatch.setattr("selma_plugins.vqa.compbench.template_phrases", lambda text: ["the left"])
    evaluator, context = CompBench(options()), context_of(Judge(lambda i, q, c: {"yes": 0.5, "no": 0.5}))
    specs, rows = evaluate(evaluator, images([GREEN]), context)
    assert evaluator.score(rows[0].atoms, specs["color_000"], "product.template") is None
    assert context.warnings[0].startswith("1 of 1 prompts are not scored")

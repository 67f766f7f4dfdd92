"""Denscore: sentences, their mean, and a direction that is not the batch's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from selma_plugins.preference.denscore import Denscore
from selma_plugins.preference.options import DenscoreOptions
from selma_plugins.preference.sentences import REFERENCE, reference_texts, split

from selma_core.data import Entry
from selma_core.errors import ArtifactError
from selma_core.testing import FakeContext, check_evaluator
from tests.preference.support import items, observed

TEXTS = ["a red hat. two dogs! a cat", "two cats", "the sea? a hat; one dog."]


@pytest.mark.parametrize(
    ("text", "official", "fixed"),
    [
        ("A. B? C", ["A.", " B.", " C."], ["A.", "B?", "C"]),
        ("A! B; C", ["A! B; C."], ["A!", "B;", "C"]),
        ('He said "go"! then;" x', ['He said "go.', " then.", " x."], ['He said "go"!', 'then;" x']),
        ("2.5 m tall.", ["2.", "5 m tall."], ["2.5 m tall."]),
        ("Wait... now", ["Wait.", " now."], ["Wait...", "now"]),
        ("", [""], [""]),
        ("..", [".."], [".."]),
    ],
)
def test_how_a_prompt_is_cut(text: str, official: list[str], fixed: list[str]) -> None:
    """`official` keeps the released pattern with its stray quotes: `!` and `;` alone do not split."""
    assert split(text, "official") == official
    assert split(text, "fixed") == fixed


@torch.no_grad()
def cosines(scorer: Any, item: Any, sentences: list[str]) -> list[float]:
    """By CLIP itself, one sentence at a time."""
    image = scorer.model.get_image_features(pixel_values=scorer.open(item.path)[None]).pooler_output
    found = []
    for sentence in sentences:
        tokens = scorer.tokenizer([sentence], truncation=True, max_length=scorer.limit, return_tensors="pt")
        text = scorer.model.get_text_features(input_ids=tokens.input_ids).pooler_output
        found.append(float(torch.cosine_similarity(image, text)))
    return found


@pytest.mark.parametrize("how", ["official", "fixed"])
def test_the_score_is_the_mean_of_the_sentences_cosines(how: Any, context: FakeContext, tmp_path: Path) -> None:
    images = items(tmp_path, TEXTS)
    evaluator = Denscore(DenscoreOptions(split=how))
    specs, rows = observed(evaluator, images, context)
    scorer = evaluator.ready(context)
    for item, row in zip(images, rows, strict=True):
        sentences = split(item.prompt.text, how)
        expected = cosines(scorer, item, sentences)
        (atom,) = row.atoms
        assert atom.value == pytest.approx(sum(expected) / len(expected), abs=1e-6)
        assert atom.data["sentences"] == pytest.approx(expected, abs=1e-6)
        assert specs[row.prompt_id]["sentences"] == sentences
        assert evaluator.score(row.atoms, specs[row.prompt_id], "x100") == pytest.approx(100 * atom.value)
    assert max(len(spec["sentences"]) for spec in specs.values()) > 1


@torch.no_grad()
def test_reweighting_keeps_a_share_of_the_mean_direction(context: FakeContext, tmp_path: Path) -> None:
    """f - (1 - w) (f . d) d, with d the direction of the mean feature of the reference texts."""
    images = items(tmp_path, TEXTS, images=1)
    plain = Denscore(DenscoreOptions())
    scorer = plain.ready(context)
    mean = scorer.features(REFERENCE).mean(0)  # type: ignore[attr-defined]
    along = mean / mean.norm()
    for share in (0.0, 0.3, 1.0):
        specs, rows = observed(Denscore(DenscoreOptions(reweight=share)), images, context)
        for item, row in zip(images, rows, strict=True):
            feature = scorer.features(split(item.prompt.text, "official")).mean(0)  # type: ignore[attr-defined]
            image = scorer.see(scorer.open(item.path)[None])[0]
            wanted = image @ feature - (1 - share) * (feature @ along) * (image @ along)
            assert row.atoms[0].value == pytest.approx(float(wanted), abs=1e-6)
            assert ("direction" in specs[row.prompt_id]) == (share < 1)


def test_a_reweighted_score_does_not_depend_on_its_neighbours(context: FakeContext, tmp_path: Path) -> None:
    """The released code takes the direction from the batch: alone, an image lost all that its text says."""
    images = items(tmp_path, TEXTS)
    options = DenscoreOptions(reweight=0.3)
    specs, rows = observed(Denscore(options), images, context)
    for item, row in zip(images, rows, strict=True):
        assert observed(Denscore(options), [item], context)[1] == [row]
    # the spec alone says all: an evaluator that never saw the reference texts gives the same
    again = Denscore(options)
    again._direction = "unused"
    assert list(again.observe(images, specs, context)) == rows


def test_reference_texts_of_ones_own(context: FakeContext, tmp_path: Path) -> None:
    path = tmp_path / "reference.txt"
    path.write_text("a hat\n\n  two cats \n")
    assert reference_texts(path) == ["a hat", "two cats"]
    own = Entry(section="files", name=str(path), provider="path", data={}, pin="sha256:1", path=path)
    context.entries = {**context.entries, ("files", str(path)): own}
    options = [DenscoreOptions(reweight=0.3, reference=name) for name in ("", str(path))]
    images = items(tmp_path, TEXTS, images=1)
    tables = [observed(Denscore(one), images, context)[1] for one in options]
    assert tables[0] != tables[1]
    path.write_text("\n")
    with pytest.raises(ArtifactError, match="holds no reference text"):
        reference_texts(path)


def test_each_sentence_is_cut_by_itself(context: FakeContext, tmp_path: Path) -> None:
    """Three sentences of 12 tokens are read whole by a model that reads 16; one of 40 is not."""
    short, long = "a red hat or. " * 3, "a red hat or " * 3
    specs, _ = observed(Denscore(DenscoreOptions(split="fixed")), items(tmp_path, [short, long], images=1), context)
    assert context.warnings == ["denscore reads 16 tokens of a text: it cuts 1 of 2 prompts"]
    assert [len(spec["tokens"]) for spec in specs.values()] == [3, 1]


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_conformance(share: float, context: FakeContext, tmp_path: Path) -> None:
    options = DenscoreOptions(reweight=share)
    summary = check_evaluator(Denscore, options, items=items(tmp_path, TEXTS), workdir=tmp_path, context=context)
    assert (summary.n_atoms, summary.coverage) == (6, 1.0)

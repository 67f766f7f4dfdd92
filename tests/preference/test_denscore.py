"""Denscore: sentences, their mean, and a direction that is not the batch's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from selma_plugins.encoders.sentences import split
from selma_plugins.preference.denscore import Denscore
from selma_plugins.preference.dense import pack, save_direction
from selma_plugins.preference.options import DenscoreOptions
from selma_plugins.preference.rewards import DenscoreReward
from selma_plugins.preference.sentences import REFERENCE, reference_texts

from selma_core.data import Entry
from selma_core.errors import ArtifactError, UserError
from selma_core.testing import FakeContext, check_evaluator
from tests.preference.support import clip_model, clip_tokenizer, entry, items, observed

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
        assert atom.data["total"] == pytest.approx(sum(expected) / len(expected), abs=1e-6)
        assert atom.data["sentences"] == pytest.approx(expected, abs=1e-6)
        assert specs[row.prompt_id]["sentences"] == sentences
        assert evaluator.score(row.atoms, specs[row.prompt_id], "x100") == pytest.approx(100 * atom.data["total"])
    assert max(len(spec["sentences"]) for spec in specs.values()) > 1


@torch.no_grad()
def test_the_parts_of_a_score(context: FakeContext, tmp_path: Path) -> None:
    """x.p = x.(p - eta V) + eta x.V, by the definition; every omega from one stored table."""
    images = items(tmp_path, TEXTS, images=1)
    for omega in (0.0, 0.3, 1.0):
        evaluator = Denscore(DenscoreOptions(omega=omega))
        specs, rows = observed(evaluator, images, context)
        scorer: Any = evaluator.ready(context)
        mean = scorer.features(REFERENCE).mean(0)
        along = mean / mean.norm()
        for item, row in zip(images, rows, strict=True):
            spec = specs[row.prompt_id]
            p = scorer.features(split(item.prompt.text, "official")).mean(0)
            x = scorer.see(scorer.open(item.path)[None])[0]
            eta = float(p @ along)
            relevant, irrelevant = float(x @ (p - eta * along)), eta * float(x @ along)
            found = {rule: evaluator.score(row.atoms, spec, rule) for rule in evaluator.info.rules}
            assert found["relevant"] == pytest.approx(relevant, abs=1e-6)
            assert found["irrelevant"] == pytest.approx(irrelevant, abs=1e-6)
            assert found["eta"] == pytest.approx(eta, abs=1e-6)
            assert row.atoms[0].value == found["reweighted"] == pytest.approx(relevant + omega * irrelevant, abs=1e-6)
            for weight in (0.0, 0.3, 0.5, 1.0):
                assert found[f"omega_{weight:g}"] == pytest.approx(relevant + weight * irrelevant, abs=1e-6)
            # omega = 1 is the plain mean cosine
            plain = cosines(scorer, item, spec["sentences"])
            assert found["omega_1"] == pytest.approx(sum(plain) / len(plain), abs=1e-6)
            each = row.atoms[0].data["relevant_sentences"]
            assert sum(each) / len(each) == pytest.approx(relevant, abs=1e-6)


def test_any_omega_needs_no_model_afterwards(context: FakeContext, tmp_path: Path) -> None:
    """Rules are pure functions of the stored atoms: an evaluator that never loaded anything computes them."""
    _, rows = observed(Denscore(DenscoreOptions(omega=0.3)), items(tmp_path, TEXTS, images=1), context)
    afterwards = Denscore(DenscoreOptions(model="", tokenizer="", omega=1.0))
    for row in rows:
        parts = row.atoms[0].data
        assert afterwards.score(row.atoms, None, "omega_0.5") == parts["relevant"] + 0.5 * parts["irrelevant"]


@torch.no_grad()
def test_the_mean_share_along_the_common_direction_is_the_length_of_the_mean(context: FakeContext) -> None:
    scorer: Any = Denscore(DenscoreOptions()).ready(context)
    features = scorer.features(REFERENCE)
    eta = features @ scorer.fit_common_direction(REFERENCE)
    assert float(eta.mean()) == pytest.approx(float(features.mean(0).norm()), abs=1e-6)


def test_a_score_does_not_depend_on_its_neighbours(context: FakeContext, tmp_path: Path) -> None:
    """The released code takes the direction from the batch: alone, an image lost all that its text says."""
    images = items(tmp_path, TEXTS)
    specs, rows = observed(Denscore(DenscoreOptions()), images, context)
    for item, row in zip(images, rows, strict=True):
        assert observed(Denscore(DenscoreOptions()), [item], context)[1] == [row]
    # the spec alone says all: an evaluator that never saw the reference texts gives the same
    again = Denscore(DenscoreOptions(omega=1.0))
    again._direction = "unused"
    assert list(again.observe(images, specs, context)) == rows


def test_the_same_image_twice_has_the_same_score(context: FakeContext, tmp_path: Path) -> None:
    """The released scorer crops at random; here the crop is the centre."""
    (item,) = items(tmp_path, ["a cat. a red hat"], images=1, size=(90, 60))
    assert observed(Denscore(DenscoreOptions()), [item], context) == observed(
        Denscore(DenscoreOptions()), [item], context
    )


def test_two_scorers_in_one_process_differ(context: FakeContext, tmp_path: Path) -> None:
    """In the released code the first scorer's model serves all."""
    other = tmp_path / "other"
    clip_model(clip_tokenizer(other), seed=7).save_pretrained(other)
    context.entries = {**context.entries, ("models", "other"): entry("other", other)}
    images = items(tmp_path, TEXTS, images=1)
    options = (DenscoreOptions(), DenscoreOptions(model="other", tokenizer=""))
    first, second = (observed(Denscore(one), images, context)[1] for one in options)
    assert all(a.atoms[0].value != b.atoms[0].value for a, b in zip(first, second, strict=True))
    assert observed(Denscore(options[0]), images, context)[1] == first


def reward_of(context: FakeContext, **options: Any) -> DenscoreReward:
    reward = DenscoreReward(DenscoreOptions(**options))
    reward.attach(context)
    return reward


@torch.no_grad()
def test_a_direction_of_the_batch_is_for_training_and_large_batches(context: FakeContext, tmp_path: Path) -> None:
    torch.manual_seed(3)
    texts = [f"a {letter} cat. two {letter} dogs" for letter in "abcdefghij"]
    pictures = torch.rand(len(texts), 3, 32, 32)
    reward = reward_of(context, common="batch")
    parts = reward.parts(pictures, texts)
    scorer: Any = reward._evaluator.ready(context)
    p = torch.stack([scorer.features(split(text, "official")).mean(0) for text in texts])
    assert float(parts["eta"].mean()) == pytest.approx(float(p.mean(0).norm()), abs=1e-5)
    for few, many in ((texts[:1], 1), (texts[:7], 7), (["a cat"] * 10, 1)):
        with pytest.raises(UserError, match=f"needs at least 8 prompts at once, not {many};"):
            reward(torch.rand(len(few), 3, 32, 32), few)
    with pytest.raises(UserError, match="common: batch is for training"):
        observed(Denscore(DenscoreOptions(common="batch")), items(tmp_path, TEXTS), context)


@torch.no_grad()
def test_without_an_omega_a_reward_has_the_released_one(context: FakeContext) -> None:
    """The README's command leaves the variable empty, which ends the released script."""
    parts = reward_of(context).parts(torch.rand(2, 3, 32, 32), ["a cat", "two dogs. a hat"])
    torch.testing.assert_close(parts["score"], parts["relevant"] + 0.3 * parts["irrelevant"])


def test_a_direction_in_the_models_folder(context: FakeContext, tmp_path: Path) -> None:
    """It is used where no reference texts are given; one of another width is refused."""
    folder = tmp_path / "own"
    clip_model(clip_tokenizer(folder)).save_pretrained(folder)
    context.entries = {**context.entries, ("models", "own"): entry("own", folder)}
    options = DenscoreOptions(model="own", tokenizer="")
    scorer: Any = Denscore(options).ready(context)
    along = scorer.fit_common_direction(["a cat", "a dog"])
    save_direction(folder, along)
    specs, _ = observed(Denscore(options), items(tmp_path, TEXTS, images=1), context)
    assert {spec["direction"] for spec in specs.values()} == {pack(along)}
    save_direction(folder, along[:3])
    with pytest.raises(ArtifactError, match=r"is \[3\], but the model's features are \[24\]"):
        Denscore(options).ready(context)


def test_reference_texts_of_ones_own(context: FakeContext, tmp_path: Path) -> None:
    path = tmp_path / "reference.txt"
    path.write_text("a hat\n\n  two cats \n")
    assert reference_texts(path) == ["a hat", "two cats"]
    own = Entry(section="files", name=str(path), provider="path", data={}, pin="sha256:1", path=path)
    context.entries = {**context.entries, ("files", str(path)): own}
    options = [DenscoreOptions(reference=name) for name in ("", str(path))]
    images = items(tmp_path, TEXTS, images=1)
    tables = [observed(Denscore(one), images, context)[1] for one in options]
    assert tables[0] != tables[1]
    rows = tmp_path / "prompts.jsonl"
    rows.write_text('{"id": "1", "text": "a hat"}\n{"id": "2", "text": "two cats"}\n')
    assert reference_texts(rows) == ["a hat", "two cats"]
    rows.write_text('{"id": "1"}\n')
    with pytest.raises(ArtifactError, match="cannot be read: KeyError"):
        reference_texts(rows)
    path.write_text("\n")
    with pytest.raises(ArtifactError, match="holds no reference text"):
        reference_texts(path)


def test_each_sentence_is_cut_by_itself(context: FakeContext, tmp_path: Path) -> None:
    """Three sentences of 12 tokens are read whole by a model that reads 16; one of 40 is not."""
    short, long = "a red hat or. " * 3, "a red hat or " * 3
    specs, _ = observed(Denscore(DenscoreOptions(split="fixed")), items(tmp_path, [short, long], images=1), context)
    assert context.warnings == ["denscore reads 16 tokens of a text: it cuts 1 of 2 prompts"]
    assert [len(spec["tokens"]) for spec in specs.values()] == [3, 1]


@pytest.mark.parametrize("rule", ["official", "omega_0.3"])
def test_conformance(rule: Any, context: FakeContext, tmp_path: Path) -> None:
    options = DenscoreOptions(rule=rule)
    summary = check_evaluator(Denscore, options, items=items(tmp_path, TEXTS), workdir=tmp_path, context=context)
    assert (summary.n_atoms, summary.coverage) == (6, 1.0)

"""`preference_scorer`: pairs, the loss, training on rendered pictures, a kill, and what cannot be trained on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from selma_plugins.preference.denscore import Denscore
from selma_plugins.preference.options import DenscoreOptions
from selma_plugins.scorer_training import train as training
from selma_plugins.scorer_training.__main__ import main
from selma_plugins.scorer_training.loss import mean_sentences, preference_loss, unit
from selma_plugins.scorer_training.options import PreferenceScorerOptions
from selma_plugins.scorer_training.pairs import Pair, hold_out, read_pairs, scored_pairs, weights_of
from selma_plugins.scorer_training.train import Place, fit
from selma_plugins.scorer_training.trainer import PreferenceScorer
from selma_plugins.shapes.render import render
from selma_plugins.shapes.scene import COLORS, SHAPES, Scene, lay_out
from selma_plugins.shapes.train.tokenizer import write_tokenizer
from transformers import CLIPConfig, CLIPModel

from selma_core.artifacts.images import item_row, read_images, write_images
from selma_core.artifacts.scorer import read_scorer_card
from selma_core.artifacts.scores import ImageValue, ScoreTable, write_scores
from selma_core.data import Atom, Entry, ImageItem, ItemAtoms, MetricInfo, Prompt
from selma_core.errors import ArtifactError, ModelError, StageError, UserError
from selma_core.files import sha256_file
from selma_core.protocols import ScorerJob, TrainedScorer
from selma_core.testing import FakeContext, check_scorer_trainer

HUES = ("red", "green", "blue")
Scored = tuple[list[ImageItem], dict[str, dict[str, dict[str, float | None]]]]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random CLIP with the world's tokenizer."""
    folder = tmp_path_factory.mktemp("start")
    tokenizer = write_tokenizer(folder)
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = CLIPConfig(
        text_config={**tower, **ids, "vocab_size": len(tokenizer), "max_position_embeddings": 48},
        vision_config={**tower, "image_size": 32, "patch_size": 16},
        projection_dim=16,
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    return folder


def drawn(folder: Path, shape: str, color: str, rng: Random) -> Path:
    scene: Scene = lay_out([(shape, color, "large")], "black", rng)
    path = folder / f"{len(list(folder.iterdir()))}.png"
    render(scene).save(path)
    return path


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    """Prompts name a colour; the worse picture has another one. Many wordings, so that some can be held out."""
    folder, rng = tmp_path_factory.mktemp("pictures"), Random(1)
    made = []
    for shape in SHAPES:
        for color in HUES:
            for opening in ("", "an image of ", "there is "):
                other = rng.choice([hue for hue in HUES if hue != color])
                files = [drawn(folder, shape, hue, rng) for hue in (color, other)]
                made.append(Pair(f"{opening}a {color} {shape}. {color}.", *files))
    return made


def options(start: Path, **given: Any) -> PreferenceScorerOptions:
    small: dict[str, Any] = {"steps": 80, "batch": 16, "lr": 3e-3, "warmup": 5, "heldout": 0.25, "save_every": 20}
    return PreferenceScorerOptions(start=str(start), **{**small, **given})


def trained(options: PreferenceScorerOptions, pairs: list[Pair], folder: Path) -> TrainedScorer:
    """The model lies in `folder` then, the checkpoints beside it."""
    work = folder.with_name(f"{folder.name}-work")
    for made in (folder, work):
        made.mkdir(exist_ok=True)
    return fit(options, Place(start=Path(options.start), out=folder, work=work), pairs, lambda *step: None)


def test_it_learns_what_is_better(start: Path, pairs: list[Pair], tmp_path: Path) -> None:
    """Held-out prompts: chance is a half. The folder is a model for denscore, with a common direction of its own."""
    out = tmp_path / "scorer"
    scorer = trained(options(start), pairs, out)
    card, curve = scorer.metadata, scorer.curve
    assert card["heldout_accuracy"] > 0.75
    assert card["pairs"] + card["heldout_pairs"] == len(pairs)
    assert curve[-1]["loss"] < 0.7 * curve[0]["loss"]
    assert [row["step"] for row in curve if "heldout_accuracy" in row] == [20, 40, 60, 80]
    own = Entry(section="models", name="own", provider="path", data={}, pin="sha256:1", path=out)
    context = FakeContext(workdir=tmp_path, entries={("models", "own"): own})
    evaluator = Denscore(DenscoreOptions(model="own", tokenizer=""))
    held = hold_out(pairs, 0.25)[1]
    right = {"total": 0, "relevant": 0}
    for n, pair in enumerate(held):
        prompt = Prompt(id=f"p{n}", text=pair.prompt)
        files = (pair.better, pair.worse)
        items = [ImageItem(item_id=f"{n}-{k}", prompt=prompt, path=f, sha256="", k=k) for k, f in enumerate(files)]
        specs = evaluator.prepare([prompt], context)
        better, worse = (row.atoms[0].data for row in evaluator.observe(items, specs, context))
        for part in right:
            right[part] += better[part] > worse[part]
    assert right["total"] / len(held) == card["heldout_accuracy"]
    assert right["relevant"] >= right["total"]  # what any text would say of the pictures is in the way


@pytest.mark.parametrize("stop", [13, 22])
def test_a_killed_training_resumes_bit_by_bit(start: Path, scored: Scored, tmp_path: Path, stop: int) -> None:
    """Before and after a checkpoint, through the conformance check: the same files as undisturbed."""
    items, scores = scored
    folder = check_scorer_trainer(
        PreferenceScorer,
        options(start, steps=24, save_every=10),
        images=items,
        scores=scores,
        workdir=tmp_path,
        make_context=lambda where, when: context_of(where, start, when),
        interrupt_after=stop,
    )
    assert {"model.safetensors", "common_direction.safetensors", "scorer.json"} <= {f.name for f in folder.iterdir()}
    assert read_scorer_card(folder)["method"] == "preference_scorer"


def context_of(workdir: Path, start: Path, interrupt_after: int | None = None) -> FakeContext:
    entry = Entry(section="models", name="start", provider="path", data={}, pin="sha256:1", path=start)
    return FakeContext(workdir=workdir, entries={("models", str(start)): entry}, interrupt_after=interrupt_after)


@pytest.fixture(scope="module")
def scored(pairs: list[Pair]) -> Scored:
    """The pictures of the pairs as an image set, each prompt's better one with the higher score of `fit`."""
    items, values = [], {}
    for n, pair in enumerate(pairs):
        prompt = Prompt(id=f"p{n}", text=pair.prompt)
        for k, (path, value) in enumerate(((pair.better, 0.9), (pair.worse, 0.2))):
            items.append(ImageItem(item_id=f"p{n}-{k}", prompt=prompt, path=path, sha256="", k=k))
            values[f"p{n}-{k}"] = {"fit": value, "unfit": 1 - value}
    return items, {"m": values}


def test_what_cannot_be_trained(start: Path, pairs: list[Pair], tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "preference_loss", lambda *a: preference_loss(*a) * float("nan"))
        with pytest.raises(StageError, match="the loss is nan at step 1"):
            trained(options(start, steps=2), pairs, tmp_path / "nan")
    with pytest.raises(ModelError, match="no CLIP model with a tokenizer"):
        trained(options(tmp_path), pairs, tmp_path / "none")


def test_weights_at_random_are_asked_for(start: Path, pairs: list[Pair], tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(start, bare, ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(ModelError, match=r"holds no weights.*random_start"):
        trained(options(bare, steps=1), pairs, tmp_path / "a")
    curves = [
        trained(options(folder, steps=1, random_start=True), pairs, tmp_path / name).curve
        for folder, name in ((bare, "b"), (start, "c"))
    ]
    assert curves[0] == curves[1] != trained(options(start, steps=1), pairs, tmp_path / "d").curve


def test_which_score_says_what_is_better(start: Path, scored: Scored, tmp_path: Path) -> None:
    items, scores = scored

    def train(given: dict[str, Any], images: Any = items, tables: Any = scores) -> Any:
        tmp_path.joinpath("out").mkdir(exist_ok=True)
        context = context_of(tmp_path, start)
        for old in tmp_path.glob("*.safetensors"):
            old.unlink()
        job = ScorerJob(context=context, images=tuple(images), scores=tables, out=tmp_path / "out")
        return PreferenceScorer(options(start, steps=1, **given)).train(job)

    losses = [train(given).curve[0]["loss"] for given in ({}, {"rule": "fit"}, {"rule": "unfit"})]
    assert losses[0] == losses[1] != losses[2]
    both = {**scores, "n": scores["m"]}
    assert train({"metric": "n"}, tables=both).curve[0]["loss"] == losses[0]
    for wrong, images, tables, line in (
        ({}, items, both, "name one of m, n"),
        ({"metric": "mm"}, items, scores, "no scores 'mm'.*'m'"),
        ({"rule": "fi"}, items, scores, "no rule 'fi'.*'fit'"),
        ({"margin": 0.8}, items, scores, "no pair"),
        ({}, items, {}, "give the stage both"),
    ):
        with pytest.raises(UserError, match=line):
            train(wrong, images, tables)


# --- the loss -------------------------------------------------------------------------------------------------


def test_the_loss_by_hand() -> None:
    """Two logits, soft labels, weights; a tie told as a tie costs nothing."""
    sure, tie = torch.tensor([1.0]), torch.tensor([0.5])
    one = torch.ones(1)
    found = preference_loss(torch.tensor([2.0]), torch.tensor([1.0]), sure, one)
    assert float(found) == pytest.approx(0.3132617, abs=1e-6)  # log(1 + exp(-1))
    assert float(preference_loss(torch.tensor([3.0]), torch.tensor([3.0]), tie, one)) == pytest.approx(0, abs=1e-6)
    both = preference_loss(
        torch.tensor([2.0, 0.0]), torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0]), torch.tensor([3.0, 1.0])
    )
    assert float(both) == pytest.approx((3 * 0.3132617 + 0.6931472) / 4, abs=1e-6)


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=2), st.floats(0.5, 1))
def test_the_loss_is_never_negative_and_blind_to_a_common_shift(logits: list[float], label: float) -> None:
    better, worse = (torch.tensor([value], dtype=torch.float64) for value in logits)
    labels, ones = torch.tensor([label], dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    loss = preference_loss(better, worse, labels, ones)
    assert float(loss) >= -1e-9
    assert float(preference_loss(better + 5, worse + 5, labels, ones)) == pytest.approx(float(loss), abs=1e-9)


def test_sentences_are_averaged_and_not_normalised_again() -> None:
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    assert mean_sentences(features, [2, 1]).tolist() == [[0.5, 0.5], [0.0, -1.0]]


def test_features_of_old_and_new_transformers() -> None:
    """Before version 5 they are a tensor, since then an output that holds one."""

    @attrs.frozen
    class Output:
        pooler_output: torch.Tensor

    raw = torch.tensor([[3.0, 4.0]])
    assert torch.equal(unit(raw), unit(Output(raw)))
    assert unit(raw).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)]]


# --- pairs ----------------------------------------------------------------------------------------------------


def test_pairs_of_a_file(pairs: list[Pair], tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    rows = [{"prompt": p.prompt, "better": str(p.better), "worse": str(p.worse)} for p in pairs[:2]]
    file.write_text("\n".join(json.dumps(row) for row in [*rows, {**rows[0], "label": 0.5}]))
    assert read_pairs(file) == [*pairs[:2], attrs.evolve(pairs[0], label=0.5)]
    for row, message in (
        ({"prompt": "a"}, "row 1: needs prompt, better and worse"),
        ({**rows[0], "worse": "none.png"}, "row 1: there is no image"),
        ({**rows[0], "label": 0.2}, "row 1: label is 0.2"),
    ):
        file.write_text(json.dumps(row))
        with pytest.raises(ArtifactError, match=message):
            read_pairs(file)
    file.write_text("\n")
    with pytest.raises(UserError, match="no pair"):
        read_pairs(file)


def test_pairs_of_a_scored_image_set(pairs: list[Pair], tmp_path: Path) -> None:
    """All pairs of one prompt that differ by more than the margin, the higher score first."""
    images, scores = tmp_path / "images", tmp_path / "scores"
    images.mkdir()
    scores.mkdir()
    items = []
    for n, (name, source) in enumerate((("a", pairs[0].better), ("b", pairs[1].better), ("c", pairs[2].better))):
        path = images / f"{name}.png"
        path.write_bytes(source.read_bytes())
        prompt = Prompt(id="p", text="a red circle")
        items.append(ImageItem(item_id=f"p-{n}", prompt=prompt, path=path, sha256=sha256_file(path), k=n))
    write_images(images, map(item_row, items))
    found = [item.item_id for item in read_images(images, warn=print)]
    atoms = (Atom(key="score", value=0.0),)
    rows = tuple(ItemAtoms(item_id=name, prompt_id="p", k=n, atoms=atoms) for n, name in enumerate(found))
    values = zip(found, (0.2, 0.9, 0.3), strict=True)
    write_scores(
        scores,
        ScoreTable(MetricInfo(name="m", rules=("r",)), {}, rows),
        [ImageValue(name, "p", n, {"r": value, "s": None}) for n, (name, value) in enumerate(values)],
    )
    made = scored_pairs(images, scores, margin=0.15)
    assert [(p.better.name, p.worse.name) for p in made] == [("b.png", "c.png"), ("b.png", "a.png")]
    assert weights_of(made) == [0.5, 0.5]
    with pytest.raises(UserError, match="has no rule 'q'"):
        scored_pairs(images, scores, rule="q")


def test_held_out_prompts_are_in_no_training_pair(pairs: list[Pair]) -> None:
    train_pairs, held = hold_out(pairs, 0.25)
    assert {p.prompt for p in train_pairs}.isdisjoint(p.prompt for p in held)
    assert len(held) == round(0.25 * len(pairs))
    assert len(COLORS) > len(HUES)


def test_pairs_of_a_folder_lie_in_it(pairs: list[Pair], tmp_path: Path) -> None:
    """The folder is what a fingerprint pins."""
    inside = tmp_path / "folder"
    inside.mkdir()
    names = []
    for pair in (pairs[0].better, pairs[0].worse):
        names.append(pair.name)
        shutil.copy(pair, inside)
    row = {"prompt": "a", "better": names[0], "worse": names[1]}
    (inside / "pairs.jsonl").write_text(json.dumps(row))
    assert len(read_pairs(inside / "pairs.jsonl", inside=True)) == 1
    (inside / "pairs.jsonl").write_text(json.dumps({**row, "worse": str(pairs[0].worse)}))
    with pytest.raises(ArtifactError, match=r"row 1: the image .* lies outside"):
        read_pairs(inside / "pairs.jsonl", inside=True)


def test_the_command(start: Path, pairs: list[Pair], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whole or not there; a kill in between costs the steps since the checkpoint."""
    file = tmp_path / "pairs.jsonl"
    rows = [{"prompt": p.prompt, "better": str(p.better), "worse": str(p.worse)} for p in pairs]
    file.write_text("\n".join(map(json.dumps, rows)))
    words = ["--pairs", str(file), "--start", str(start), "--steps", "4", "--batch", "2", "--save-every", "2"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    assert "4 steps, held-out accuracy" in capsys.readouterr().out
    steps = iter(range(1, 100))

    def pulled(*arguments: Any) -> Any:
        if next(steps) == 4:
            raise KeyboardInterrupt
        return preference_loss(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "preference_loss", pulled)
        with pytest.raises(KeyboardInterrupt):
            main([*words, "--out", str(tmp_path / "killed")])
    assert not (tmp_path / "killed").exists()
    assert main([*words, "--out", str(tmp_path / "killed")]) == 0
    for name in ("model.safetensors", "common_direction.safetensors", "curve.jsonl", "scorer.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "out" / name).read_bytes(), name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "out", "pairs.jsonl"]
    capsys.readouterr()
    for more, line in ((["--steps", "4"], "is not empty"), (["--steps", "0"], "must be above 0")):
        assert main([*words, *more, "--out", str(tmp_path / ("out" if "4" in more else "new"))]) == 2
        assert line in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--start", str(start), "--out", "x"])

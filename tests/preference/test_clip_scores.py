"""PickScore and CLIPScore: equal to CLIP's own logits, each image by itself, all in named scales."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from selma_plugins.preference.clip import load_tokenizer
from selma_plugins.preference.clipscore import ClipScore
from selma_plugins.preference.options import ClipScoreOptions, PickScoreOptions
from selma_plugins.preference.pickscore import PickScore
from selma_plugins.preference.pixels import crop_file, open_rgb, to_tensor
from transformers import CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from selma_core.data import Atom
from selma_core.errors import ModelError, UnknownNameError
from selma_core.testing import FakeContext, check_evaluator
from tests.preference.support import LENGTH, SIDE, clip_model, context_of, entry, items, observed, picture

TEXTS = ["a cat", "two dogs", "a red hat"]
LONG = "a red cat and a blue dog play in the park"


@torch.no_grad()
def logits(folder: Path, images: Any) -> tuple[torch.Tensor, float]:
    """`logits_per_text` of each image with its own prompt, by transformers' own model and processors."""
    model = CLIPModel.from_pretrained(folder).eval()
    size = {"shortest_edge": SIDE}
    processor = CLIPImageProcessorPil(size=size, crop_size={"height": SIDE, "width": SIDE})
    pixels = processor([open_rgb(item.path) for item in images], return_tensors="pt").pixel_values
    tokens = load_tokenizer(entry("t", folder))(
        [item.prompt.text for item in images], padding=True, truncation=True, max_length=LENGTH, return_tensors="pt"
    )
    out = model(pixel_values=pixels, input_ids=tokens.input_ids, attention_mask=tokens.attention_mask)
    return out.logits_per_text.diagonal(), float(model.logit_scale.exp())


@pytest.mark.parametrize("size", [(48, 48), (61, 40), (33, 70)])
def test_pickscore_is_logits_per_text(
    context: FakeContext, clip_folder: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    images = items(tmp_path, [*TEXTS, LONG], size=size)
    evaluator = PickScore(PickScoreOptions())
    specs, rows = observed(evaluator, images, context)
    expected, scale = logits(clip_folder, images)
    assert expected.std() > 0.1
    for row, value in zip(rows, expected.tolist(), strict=True):
        (atom,) = row.atoms
        assert (atom.key, atom.status) == ("score", "ok")
        assert atom.value == pytest.approx(value, abs=2e-5)
        assert atom.data["cosine"] == pytest.approx(value / scale, abs=1e-6)
        assert evaluator.score(row.atoms, specs[row.prompt_id], "official") == atom.value
        assert evaluator.score(row.atoms, specs[row.prompt_id], "cosine") == atom.data["cosine"]


def test_preparation_equals_transformers_processor(tmp_path: Path) -> None:
    processor = CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24})
    for n, (width, height) in enumerate([(24, 24), (48, 48), (50, 31), (31, 50), (20, 27), (25, 24)]):
        path = picture(tmp_path / f"{n}.png", n, (width, height))
        theirs = processor(open_rgb(path), return_tensors="pt").pixel_values[0]
        torch.testing.assert_close(crop_file(path, 24), theirs, atol=1e-5, rtol=0)


def test_an_odd_rest_is_cut_as_each_library_does(tmp_path: Path) -> None:
    """27 columns, 24 wanted: transformers begins at 1, torchvision (ImageReward) at round(1.5) = 2."""
    path = picture(tmp_path / "a.png", 1, (27, 24))
    whole = to_tensor(open_rgb(path))
    down, even = crop_file(path, 24), crop_file(path, 24, "even")
    mean, std = torch.tensor([0.48145466]), torch.tensor([0.26862954])
    torch.testing.assert_close(down[0] * std + mean, whole[0, :, 1:25])
    torch.testing.assert_close(even[0] * std + mean, whole[0, :, 2:26])


def test_three_conventions_of_clipscore(context: FakeContext) -> None:
    evaluator = ClipScore(ClipScoreOptions())
    assert evaluator.info.rules == ("cosine", "x100", "clip_s")
    for cosine, expected in ((0.3, (0.3, 30.0, 0.75)), (-0.2, (-0.2, -20.0, 0.0))):
        atoms = [Atom(key="score", value=cosine)]
        values = [evaluator.score(atoms, {}, rule) for rule in ("cosine", "x100", "clip_s")]
        assert values == pytest.approx(expected)
    assert ClipScore(ClipScoreOptions(rule="clip_s")).info.rules[0] == "clip_s"
    with pytest.raises(UnknownNameError, match="clipscore has no rule 'x10': did you mean 'x100'"):
        evaluator.score([], {}, "x10")


def test_clipscores_prefix_is_read(context: FakeContext, tmp_path: Path) -> None:
    images = items(tmp_path, ["a cat"], images=1)
    plain, prefixed, written = (
        observed(ClipScore(options), [one], context)[1][0].atoms[0].value
        for options, one in (
            (ClipScoreOptions(), images[0]),
            (ClipScoreOptions(prefix="see "), images[0]),
            (ClipScoreOptions(), items(tmp_path, ["see a cat"], images=1)[0]),
        )
    )
    assert plain != prefixed == written


@pytest.mark.parametrize(
    ("kind", "options"), [(PickScore, PickScoreOptions()), (ClipScore, ClipScoreOptions(rule="x100"))]
)
def test_conformance(kind: Any, options: Any, context: FakeContext, tmp_path: Path) -> None:
    summary = check_evaluator(kind, options, items=items(tmp_path, TEXTS), workdir=tmp_path, context=context)
    assert (summary.n_prompts, summary.n_images, summary.n_atoms, summary.coverage) == (3, 6, 6, 1.0)
    assert list(summary.groups) == ["even", "odd"]


def test_mean_over_prompts_of_the_mean_over_images(context: FakeContext, tmp_path: Path) -> None:
    images = [item for item in items(tmp_path, TEXTS) if item.item_id != "p1-1"]
    evaluator = PickScore(PickScoreOptions())
    specs, rows = observed(evaluator, images, context)
    summary = evaluator.aggregate(rows, specs, "official")
    values = {row.item_id: row.atoms[0].value for row in rows}
    by_prompt = [(values["p0-0"] + values["p0-1"]) / 2, values["p1-0"], (values["p2-0"] + values["p2-1"]) / 2]
    assert summary.mean == pytest.approx(sum(by_prompt) / 3)
    assert [prompt.value for prompt in summary.prompts] == pytest.approx(by_prompt)
    assert summary.coverage == pytest.approx(5 / 6)


def test_an_image_does_not_depend_on_its_neighbours(context: FakeContext, tmp_path: Path) -> None:
    images = items(tmp_path, TEXTS)
    _, rows = observed(PickScore(PickScoreOptions()), images, context)
    for item, row in zip(images, rows, strict=True):
        assert observed(PickScore(PickScoreOptions(batch_size=3)), [item], context)[1] == [row]
    assert observed(PickScore(PickScoreOptions()), images[::-1], context)[1] == rows[::-1]


def test_batches_are_always_full_where_they_are_used(context: FakeContext, tmp_path: Path) -> None:
    """On a GPU a kernel is chosen by the shape: the last batch is filled up, whatever is left over."""
    context.device = "cpu:0"  # not "cpu": the batched path, on the same hardware
    images = items(tmp_path, TEXTS)
    evaluator = PickScore(PickScoreOptions(batch_size=4))
    scorer = evaluator.ready(context)
    shapes: list[int] = []
    see = scorer.see
    scorer.see = lambda pixels: (shapes.append(len(pixels)), see(pixels))[1]  # type: ignore[method-assign]
    rows = observed(evaluator, images, context)[1]
    assert shapes == [4, 4]
    context.device = "cpu"
    _, alone = observed(PickScore(PickScoreOptions()), images, context)
    assert [r.item_id for r in rows] == [r.item_id for r in alone]
    for a, b in zip(rows, alone, strict=True):
        assert a.atoms[0].value == pytest.approx(b.atoms[0].value, abs=2e-5)


def test_a_broken_image_is_an_error_of_its_own(context: FakeContext, tmp_path: Path) -> None:
    images = items(tmp_path, TEXTS)
    expected = observed(PickScore(PickScoreOptions()), images, context)[1]
    images[2].path.write_bytes(images[2].path.read_bytes()[:60])
    for device in ("cpu", "cpu:0"):
        context.device = device
        evaluator = PickScore(PickScoreOptions())
        specs, rows = observed(evaluator, images, context)
        (atom,) = rows[2].atoms
        assert (atom.status, atom.value) == ("error", None)
        assert "cannot read p1-0.png" in (atom.raw or "")
        for row, wanted in zip(rows, expected, strict=True):
            if row.item_id != "p1-0":
                assert row.atoms[0].value == pytest.approx(wanted.atoms[0].value, abs=2e-5)
        assert evaluator.aggregate(rows, specs, "official").coverage == pytest.approx(5 / 6)


def test_a_value_that_is_no_number_is_an_error(context: FakeContext, tmp_path: Path) -> None:
    evaluator = PickScore(PickScoreOptions())
    scorer = evaluator.ready(context)
    scorer.parts = lambda seen, encoded: {"score": torch.full((len(seen),), torch.nan)}  # type: ignore[method-assign]
    (row,) = observed(evaluator, items(tmp_path, ["a cat"], images=1), context)[1]
    assert (row.atoms[0].status, row.atoms[0].raw) == ("error", "the model gave nan")


def test_what_is_cut_is_said_once_and_kept_in_the_specs(context: FakeContext, tmp_path: Path) -> None:
    images = items(tmp_path, ["a cat", LONG, LONG + " too"], images=1)
    evaluator = PickScore(PickScoreOptions())
    specs = observed(evaluator, images, context)[0]
    assert context.warnings == [f"pickscore reads {LENGTH} tokens of a text: it cuts 2 of 3 prompts"]
    assert specs["p0"] == {"text": "a cat", "groups": ["even"], "tokens": [6]}
    assert evaluator.info.max_text_tokens == LENGTH
    assert PickScore(PickScoreOptions()).info.max_text_tokens == 77


def test_info_states_scale_and_judge(context: FakeContext, tmp_path: Path) -> None:
    evaluator = PickScore(PickScoreOptions())
    assert (evaluator.info.judge, evaluator.info.rules) == ("pickscore_v1", ("official", "cosine"))
    assert "exp(logit_scale) x cosine" in evaluator.info.scale
    list(evaluator.observe([], {}, context))  # a resumed stage with nothing left asks too
    assert evaluator.info.judge == "pickscore_v1@sha256:pickscore_v1"[: len("pickscore_v1@sha256:") + 7]


def test_one_model_is_loaded_for_all_who_name_it(context: FakeContext, tmp_path: Path) -> None:
    images = items(tmp_path, ["a cat"], images=1)
    for _ in range(2):
        observed(PickScore(PickScoreOptions()), images, context)
        observed(ClipScore(ClipScoreOptions(model="pickscore_v1")), images, context)
    assert [key.loader for key in context.models] == ["selma.preference:CLIPModel"]
    (model,) = context.models.values()
    assert not any(weight.requires_grad for weight in model.parameters())


def test_a_folder_that_is_no_clip_is_refused_in_one_line(tmp_path: Path, clip_folder: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text('{"model_type": "clip"}')
    tokens = entry("clip_vit_h14", clip_folder)
    with pytest.raises(ModelError, match="cannot read the CLIP model") as error:
        PickScore(PickScoreOptions()).load(context_of(tmp_path, entry("pickscore_v1", broken), tokens))
    assert "\n" not in str(error.value)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ModelError, match="holds no weights file"):
        PickScore(PickScoreOptions()).load(context_of(tmp_path, entry("pickscore_v1", empty), tokens))
    with pytest.raises(ModelError, match=r"holds no tokenizer \(tokenizer.json or vocab.json and merges.txt\)"):
        PickScore(PickScoreOptions()).load(
            context_of(tmp_path, entry("pickscore_v1", clip_folder), entry("clip_vit_h14", empty))
        )


def test_another_models_tokenizer_is_refused(tmp_path: Path, clip_folder: Path) -> None:
    other = clip_model(20)
    other.save_pretrained(tmp_path / "small")
    weights, tokens = entry("pickscore_v1", tmp_path / "small"), entry("clip_vit_h14", clip_folder)
    with pytest.raises(ModelError, match="the tokenizer has 66 tokens, the model knows 20"):
        PickScore(PickScoreOptions()).load(context_of(tmp_path, weights, tokens))


def test_greyscale_and_palette_images_are_read(tmp_path: Path, context: FakeContext) -> None:
    for mode in ("L", "P", "RGBA"):
        path = tmp_path / f"{mode}.png"
        Image.open(picture(tmp_path / "x.png", 1)).convert(mode).save(path)
        assert crop_file(path, SIDE).shape == (3, SIDE, SIDE)


SCORING = """
import sys
from selma_core.data import Atom, ItemAtoms
from selma_plugins.preference.options import *
from selma_plugins.preference.pickscore import PickScore
from selma_plugins.preference.clipscore import ClipScore
from selma_plugins.preference.hpsv2 import Hps20, Hps21
from selma_plugins.preference.imagereward import ImageReward
from selma_plugins.preference.denscore import Denscore
DATA = dict.fromkeys(("cosine", "total", "relevant", "irrelevant", "eta"), 0.25)
kinds = [(PickScore, PickScoreOptions), (ClipScore, ClipScoreOptions), (Hps20, Hps20Options), (Hps21, Hps21Options),
         (ImageReward, ImageRewardOptions), (Denscore, DenscoreOptions)]
row = ItemAtoms(item_id="a-0", prompt_id="a", k=0, atoms=(Atom(key="score", value=0.5, data=DATA),))
for kind, options in kinds:
    evaluator = kind(options())
    for rule in evaluator.info.rules:
        assert evaluator.aggregate([row], {"a": {"groups": []}}, rule).mean == evaluator.score(row.atoms, {}, rule)
heavy = {"torch", "transformers", "numpy", "PIL", "safetensors"} & set(sys.modules)
assert not heavy, heavy
"""


def test_scoring_stored_tables_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", SCORING], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

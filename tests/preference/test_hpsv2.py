"""HPSv2: open_clip's network on transformers' classes, its preparation of images, its versions, its pickled files."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from safetensors.torch import save_file
from selma_plugins.preference import open_clip
from selma_plugins.preference.hpsv2 import Hps20, Hps21
from selma_plugins.preference.options import Hps20Options, Hps21Options
from selma_plugins.preference.pixels import MEAN, STD, letterbox, normalise, open_rgb, to_tensor

from selma_core.errors import ModelError
from selma_core.files import sha256_file
from selma_core.records import RegistrySourceRecord
from selma_core.registry import Registry
from selma_core.testing import FakeContext, check_evaluator
from tests.preference.open_clip_official import OpenClip
from tests.preference.support import LENGTH, SIDE, context_of, entry, items, observed, picture

WORDS = 66


def official(seed: int = 0) -> OpenClip:
    torch.manual_seed(seed)
    return OpenClip(WORDS, LENGTH, SIDE).eval()


def tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    return {key: value.detach().contiguous() for key, value in official(seed).state_dict().items()}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "HPS_v2.1.safetensors"
    save_file(tensors(), path)
    return path


@torch.no_grad()
def test_network_equals_open_clips_on_random_weights() -> None:
    theirs, ours = official(), open_clip.build(tensors(), "test").eval()
    torch.manual_seed(1)
    pixels = torch.randn(4, 3, SIDE, SIDE)
    ids = torch.randint(0, WORDS - 1, (4, LENGTH))
    ids[torch.arange(4), torch.tensor([3, 15, 7, 1])] = WORDS - 1
    image, text = theirs(pixels, ids)
    assert (image @ text.T).std() > 0.05
    found = ours(pixel_values=pixels, input_ids=ids)
    torch.testing.assert_close(found.image_embeds, image, atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(found.text_embeds, text, atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(found.logits_per_text, theirs.logit_scale.exp() * text @ image.T, atol=2e-4, rtol=1e-5)


def test_network_equals_the_real_open_clip() -> None:
    real = pytest.importorskip("open_clip")
    config = {"image_size": SIDE, "patch_size": 8, "layers": 2, "width": 128}
    text = {"context_length": LENGTH, "vocab_size": WORDS, "width": 128, "heads": 2, "layers": 2}
    model = real.CLIP(24, config, text).eval()
    ours = open_clip.build(model.state_dict(), "test").eval()
    pixels, ids = torch.randn(2, 3, SIDE, SIDE), torch.randint(0, WORDS, (2, LENGTH))
    with torch.no_grad():
        image, words = model.encode_image(pixels, normalize=True), model.encode_text(ids, normalize=True)
        found = ours(pixel_values=pixels, input_ids=ids)
    torch.testing.assert_close(found.image_embeds, image, atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(found.text_embeds, words, atol=2e-6, rtol=1e-5)


def test_the_released_architecture_is_recognised() -> None:
    """ViT-H/14: 32 layers of 16 heads of 80, and 24 of 16 of 64."""
    with torch.device("meta"):
        state = {"token_embedding.weight": torch.empty(49408, 1024), "positional_embedding": torch.empty(77, 1024)}
        state |= {"visual.conv1.weight": torch.empty(1280, 3, 14, 14), "text_projection": torch.empty(1024, 1024)}
        state |= {"visual.positional_embedding": torch.empty(257, 1280)}
        for prefix, width, layers in (("", 1024, 24), ("visual.", 1280, 32)):
            for n in range(layers):
                state[f"{prefix}transformer.resblocks.{n}.mlp.c_fc.weight"] = torch.empty(4 * width, width)
    config = open_clip._config(state, "test")
    text, vision = config.text_config, config.vision_config
    assert (text.num_hidden_layers, text.num_attention_heads, text.intermediate_size) == (24, 16, 4096)
    assert (vision.num_hidden_layers, vision.num_attention_heads, vision.intermediate_size) == (32, 16, 5120)
    assert (vision.image_size, vision.patch_size, text.max_position_embeddings) == (224, 14, 77)
    assert text.hidden_act == vision.hidden_act == "gelu"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("visual.conv1.weight"), "no open_clip ViT checkpoint"),
        (lambda state: state.pop("transformer.resblocks.1.ln_1.bias"), "lacks text_model.encoder.layers.1"),
        (lambda state: state.pop("text_projection"), "lacks text_projection"),
        (lambda state: state.update(extra=torch.zeros(1)), "unknown tensor extra"),
        (lambda state: state.update(ln_final_extra=torch.zeros(1)), "unknown tensor ln_final_extra"),
    ],
)
def test_a_wrong_checkpoint_is_refused_in_one_line(change: Any, message: str) -> None:
    state = tensors()
    change(state)
    with pytest.raises(ModelError, match=message) as error:
        open_clip.build(state, "test")
    assert "\n" not in str(error.value)


# --- images -----------------------------------------------------------------------------------------------


def test_letterbox_by_hand() -> None:
    """A white picture, twice as wide as high: black above and below, equal or one more below."""
    black, white = (normalise(torch.full((3, 1, 1), value)) for value in (0.0, 1.0))
    for height, top, bottom in ((32, 8, 8), (30, 8, 9)):
        found = letterbox(torch.ones(1, 3, height, 64), 32, antialias=True)[0]
        assert found.shape == (3, 32, 32)
        torch.testing.assert_close(found[:, top : 32 - bottom], white.expand(3, 32 - top - bottom, 32))
        torch.testing.assert_close(found[:, :top], black.expand(3, top, 32))
        torch.testing.assert_close(found[:, 32 - bottom :], black.expand(3, bottom, 32))


def test_values_are_resized_before_they_are_rounded(tmp_path: Path) -> None:
    """ToTensor first: bicubic overshoot stays, and nothing is a multiple of 1/255."""
    edge = torch.zeros(1, 3, 64, 64)
    edge[..., 32:] = 1
    pixels = letterbox(edge, 32, antialias=True)[0] * torch.tensor(STD)[:, None, None]
    pixels = pixels + torch.tensor(MEAN)[:, None, None]
    assert pixels.max() > 1.01
    assert pixels.min() < -0.01


def test_antialias_is_an_option_that_changes_values() -> None:
    noise = torch.rand(1, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    with_it, without = (letterbox(noise, 32, antialias=value) for value in (True, False))
    assert (with_it - without).abs().max() > 0.5
    assert Hps21Options().antialias


def test_an_image_whose_longer_edge_fits_already_is_framed_too(tmp_path: Path) -> None:
    """The original gives the network 32 x 20 pixels here, which fails."""
    path = picture(tmp_path / "a.png", 1, (32, 20))
    assert letterbox(to_tensor(open_rgb(path))[None], 32, antialias=True).shape == (1, 3, 32, 32)


def test_transparency_is_dropped(tmp_path: Path, context: FakeContext) -> None:
    """The original gives the network four channels here, which fails."""
    path = picture(tmp_path / "a.png", 1, (40, 30), mode="RGBA")
    assert Hps21(Hps21Options()).load(context).open(path).shape == (3, SIDE, SIDE)


# --- the evaluator ----------------------------------------------------------------------------------------


def test_the_evaluator_reads_an_open_clip_file(checkpoint: Path, clip_folder: Path, tmp_path: Path) -> None:
    theirs = official()
    context = context_of(tmp_path, entry("hpsv21", checkpoint), entry("clip_vit_h14", clip_folder))
    images = items(tmp_path, ["a red cat", "two dogs"], size=(50, 31))
    evaluator = Hps21(Hps21Options())
    specs, rows = observed(evaluator, images, context)
    scorer = evaluator.load(context)
    for item, row in zip(images, rows, strict=True):
        ids = scorer.tokenizer(
            [item.prompt.text], padding="max_length", max_length=LENGTH, return_tensors="pt"
        ).input_ids
        with torch.no_grad():
            image, text = theirs(letterbox(to_tensor(open_rgb(item.path))[None], SIDE, antialias=True), ids)
        (atom,) = row.atoms
        assert atom.value == pytest.approx(float((image * text).sum()), abs=2e-6)
        assert evaluator.score(row.atoms, specs[row.prompt_id], "x100") == pytest.approx(100 * atom.value)
        assert evaluator.score(row.atoms, specs[row.prompt_id], "cosine") == atom.value


def test_versions_are_two_metrics_and_know_their_files(context: FakeContext) -> None:
    infos = [Hps20(Hps20Options()).info, Hps21(Hps21Options()).info]
    assert [(info.name, info.version, info.rules[0]) for info in infos] == [
        ("hpsv2", "2.0", "x100"),
        ("hpsv21", "2.1", "x100"),
    ]
    entries = context.entries
    wrong = attrs.evolve(entries["models", "hpsv2"], data={"version": "2.0"})
    context.entries = {**entries, ("models", "hpsv21"): wrong}
    with pytest.raises(ModelError, match=r"is HPSv2 2.0, evaluator 'hpsv21' is 2.1; values of the two"):
        Hps21(Hps21Options()).load(context)


def test_conformance(context: FakeContext, tmp_path: Path) -> None:
    images = items(tmp_path, ["a cat", "two dogs"])
    summary = check_evaluator(Hps21, Hps21Options(), items=images, workdir=tmp_path, context=context)
    assert (summary.metric, summary.rule, summary.scale) == ("hpsv21", "x100", 1.0)


# --- pickled checkpoints ----------------------------------------------------------------------------------


def test_a_pickled_file_is_not_read_unless_its_bytes_are_pinned(
    clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELMA_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "HPS_v2.1_compressed.pt"
    torch.save({"state_dict": tensors(), "epoch": 3}, path)
    context = context_of(tmp_path, entry("hpsv21", path), entry("clip_vit_h14", clip_folder))
    with pytest.raises(ModelError, match=r"convert it to safetensors once and give that file as the model"):
        Hps21(Hps21Options()).load(context)
    (tmp_path / "reg" / "models").mkdir(parents=True)
    pinned = tmp_path / "reg" / "models" / "hpsv21.yaml"
    for digest, works in ((sha256_file(path), True), ("ab" * 32, False)):
        pinned.write_text(f"summary: m\nsources:\n  - url: https://example.org/{path.name}\n    sha256: {digest}\n")
        registry = Registry([RegistrySourceRecord(name="mine", path=tmp_path / "reg")])
        (source,) = registry.sources("models", "hpsv21")
        source.target.parent.mkdir(parents=True, exist_ok=True)
        source.target.write_bytes(path.read_bytes())
        if works:
            context.entries = {**context.entries, ("models", "hpsv21"): registry.entry("models", "hpsv21")}
            assert Hps21(Hps21Options()).load(context).limit == LENGTH
        else:
            with pytest.raises(ModelError, match="its sha256 differs"):
                registry.entry("models", "hpsv21")


class Evil:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("was_run"),))


def test_a_pinned_pickle_still_runs_no_code(clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps({"state_dict": Evil()}, protocol=2))
    digest = sha256_file(path)
    sources = [{"url": "https://example.org/evil.pt", "sha256": digest}]
    evil = attrs.evolve(entry("hpsv21", path, sources=sources), provider="mine", pin=f"sha256:{digest}")
    context = context_of(tmp_path, evil, entry("clip_vit_h14", clip_folder))
    with pytest.raises(ModelError, match=r"evil.pt: cannot be read") as error:
        Hps21(Hps21Options()).load(context)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "was_run").exists()


def test_a_path_cannot_pin_itself(clip_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save(tensors(), path)
    own = [{"sha256": sha256_file(path)}]
    given = attrs.evolve(entry("hpsv21", path, sources=own), pin=f"sha256:{sha256_file(path)}")
    context = context_of(tmp_path, given, entry("clip_vit_h14", clip_folder))
    with pytest.raises(ModelError, match="no registry entry pins"):
        Hps21(Hps21Options()).load(context)

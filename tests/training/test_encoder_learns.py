"""`lora` teaches the T5 adapter of `longalign` with the denoiser; the adapter brings it along."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from PIL import Image
from selma_plugins.diffusion.loading import load_pipeline
from selma_plugins.diffusion.matched import encoder_for
from selma_plugins.encoders import text_adapter
from selma_plugins.encoders.t5 import T5Rows
from selma_plugins.encoders.text_adapter import Widths, fresh
from selma_plugins.images.generator import DiffusersGenerator
from selma_plugins.images.options import DiffusersOptions
from selma_plugins.reward_training.trainer import RewardLoraTrainer

import selma_core
from selma_core.artifacts.adapter import adapter_file, read_card, read_layers, write_adapter
from selma_core.artifacts.encoder import read_learnt
from selma_core.errors import ArtifactError
from selma_core.options import Slot
from selma_core.protocols import ImageJob, TrainedAdapter, TrainJob
from tests.long_stage import LongContext, t5_folder
from tests.reward_training.conftest import PROMPTS, REWARDS, options_of
from tests.tiny_stage import items, requests

OPTIONS = {"clip_len": 12, "t5_len": 10, "t5_hidden": 8}
Train = Callable[..., TrainedAdapter]


@pytest.fixture(scope="session")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return t5_folder(tmp_path_factory.mktemp("t5") / "t5", 24)


@pytest.fixture
def teach(train: Train, t5: Path, tmp_path: Path) -> Train:
    """`train` with `longalign` and T5 rows."""

    def run(context: LongContext | None = None, **options: Any) -> TrainedAdapter:
        made = context or LongContext(tmp_path / f"long{len(list(tmp_path.iterdir()))}")
        return train(**{"context": made, "text_encoder": Slot("longalign", {**OPTIONS, "t5": str(t5)}), **options})

    return run


def stored(folder: Path, adapter: TrainedAdapter) -> Path:
    folder.mkdir()
    write_adapter(folder, adapter)
    return adapter_file(folder)


def encoded(adapter: Path, base: Path, work: Path, slot: Slot | None = None) -> torch.Tensor:
    encoder = encoder_for(slot or Slot(), [adapter], LongContext(work))
    return encoder.encode(load_pipeline(base, torch.float32), ["a cat", ""]).hidden


def same(one: TrainedAdapter, other: TrainedAdapter) -> bool:
    mine, others = ({**made.tensors, **made.encoder} for made in (one, other))
    return mine.keys() == others.keys() and all(torch.equal(mine[name], others[name]) for name in mine)


def test_both_learn_and_the_card_says_of_what(teach: Train) -> None:
    made = teach(steps=20, lr=1e-2, heldout=0.2, save_every=20)
    assert made.curve[-1]["heldout"] < 0.95 * made.metadata["heldout_before"]
    assert any(bool(value.any()) for name, value in made.tensors.items() if ".lora_B." in name)
    assert not any("text_encoder" in name for name in made.tensors)
    before = fresh(0, Widths(t5=24, hidden=8, clip=32)).state_dict()
    assert {name.removeprefix("adapter.") for name in made.encoder} == set(before)
    assert all(not torch.equal(value, before[name.removeprefix("adapter.")]) for name, value in made.encoder.items())
    assert {value.dtype for value in made.encoder.values()} == {torch.float32}
    assert made.metadata["encoder"]["use"] == "longalign"
    assert made.metadata["longalign"]["widths"] == {"t5": 24, "hidden": 8, "clip": 32}
    assert made.metadata["longalign"]["t5_pin"].startswith("sha256:")


@pytest.mark.parametrize("stop", [3, 5])
def test_a_killed_run_resumes_bit_by_bit(teach: Train, tmp_path: Path, stop: int) -> None:
    """The adapter, its part of the optimizer, its mean and its dropout too."""
    settings = {"steps": 7, "save_every": 2, "ema": 0.9, "heldout": 0.2, "select": "heldout", "caption_dropout": 0.2}
    whole = teach(**settings)
    context = LongContext(tmp_path / "killed", stop_at=stop)
    with pytest.raises(KeyboardInterrupt):
        teach(context=context, **settings)
    context.stop_at = None
    resumed = teach(context=context, **settings)
    assert same(resumed, whole)
    assert resumed.curve == whole.curve


def test_a_small_update_of_the_adapter_is_not_lost(teach: Train) -> None:
    """Defect 8: bf16 weights at this rate would not move. The weights are fp32, whatever the precision."""
    one, more = (teach(steps=steps, lr=1e-6, weight_decay=0.0, precision="bf16") for steps in (1, 100))
    name = "adapter.norm1.weight"  # starts at 1, where bf16 has steps of 1 / 128
    assert 0 < (one.encoder[name] - 1).abs().max() < 2e-6
    assert 2e-5 < (more.encoder[name] - 1).abs().max() < 1.1e-4


def test_dropout_is_on_in_training(teach: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    with_it = teach(steps=1)
    monkeypatch.setattr(text_adapter, "DROPOUT", 0.0)
    without = teach(steps=1)
    name = "adapter.norm1.weight"
    assert not torch.equal(with_it.encoder[name], without.encoder[name])


def test_a_dropped_caption_has_t5_rows_of_the_empty_text(teach: Train, tmp_path: Path) -> None:
    """With every caption dropped the images' texts have no effect."""
    texts = items(tmp_path / "pictures", 4)
    others = [attrs.evolve(item, prompt=attrs.evolve(item.prompt, text=f"{item.prompt.text} two")) for item in texts]
    one, other = (teach(images=images, caption_dropout=1.0) for images in (texts, others))
    assert same(one, other)
    assert not same(one, teach(images=texts))


def test_it_draws_what_it_learnt_and_another_encoder_is_refused(
    teach: Train, models: Callable[[str], Path], tmp_path: Path, t5: Path
) -> None:
    base, file = models("epsilon"), stored(tmp_path / "one", teach())
    found = encoded(file, base, tmp_path)
    assert found.shape == (2, 22, 32)
    adapter = fresh(0, Widths(t5=24, hidden=8, clip=32))
    learnt = read_learnt(file.with_name("encoder.safetensors"))
    adapter.load_state_dict({name.removeprefix("adapter."): value for name, value in learnt.items()})
    plain = encoder_for(Slot("longalign", {"clip_len": 12}), [], LongContext(tmp_path))
    pipeline = load_pipeline(base, torch.float32)
    assert torch.equal(found[:, :12], plain.encode(pipeline, ["a cat", ""]).hidden)
    states = T5Rows(str(t5), 10, masked=False, context=None).states(["a cat", ""], torch.device("cpu"))
    assert torch.allclose(found[:, 12:], adapter(states), atol=1e-5)

    small = {"model": str(base), "k": 1, "steps": 1, "height": 16, "width": 16, "lanes": 1}
    job = ImageJob(context=LongContext(tmp_path), requests=requests(2), adapter=file)
    drawn = [image for _, image in DiffusersGenerator(DiffusersOptions(**small)).images(job)]
    assert all(isinstance(image, Image.Image) and image.size == (16, 16) for image in drawn)
    for slot in (Slot("clip"), Slot("longalign", {"clip_len": 12}), Slot("longalign", {**OPTIONS, "t5_len": 9})):
        with pytest.raises(ArtifactError, match="was trained with text encoder longalign"):
            encoded(file, base, tmp_path, slot)


def test_the_t5_may_lie_elsewhere_but_must_be_the_same(
    teach: Train, models: Callable[[str], Path], tmp_path: Path
) -> None:
    file = stored(tmp_path / "one", teach())
    moved, other = t5_folder(tmp_path / "moved", 24), t5_folder(tmp_path / "other", 24, seed=9)
    found = encoded(file, models("epsilon"), tmp_path)
    slot = Slot("longalign", {**OPTIONS, "t5": str(moved)})
    assert torch.equal(encoded(file, models("epsilon"), tmp_path, slot), found)
    with pytest.raises(ArtifactError, match="trained on another T5"):
        encoded(file, models("epsilon"), tmp_path, Slot("longalign", {**OPTIONS, "t5": str(other)}))


def test_training_goes_on_from_an_adapter(teach: Train, tmp_path: Path) -> None:
    first = teach()
    file = stored(tmp_path / "one", first)
    still = teach(adapter=file, steps=1, lr=1e-12, weight_decay=0.0, text_encoder=Slot())
    for name, value in first.encoder.items():
        assert torch.allclose(still.encoder[name], value, atol=1e-8)
    assert still.metadata["longalign"] == first.metadata["longalign"]
    further = teach(adapter=file, text_encoder=Slot())
    assert not same(further, first)


def test_phase_r_reads_with_the_adapter_and_leaves_it_as_it_is(
    teach: Train, models: Callable[[str], Path], tmp_path: Path
) -> None:
    class Rewarding(LongContext):
        def reward(self, slot: Slot) -> Any:
            return REWARDS[slot.use]()

    first = teach()
    file = stored(tmp_path / "one", first)
    context = Rewarding(tmp_path / "reward")
    context.workdir.mkdir()
    job = TrainJob(context=context, images=(), adapter=file, prompts=PROMPTS)
    made = RewardLoraTrainer(options_of(models("epsilon"))).train(job)
    assert made.encoder.keys() == first.encoder.keys()
    assert all(torch.equal(value, first.encoder[name]) for name, value in made.encoder.items())
    assert made.metadata["longalign"] == first.metadata["longalign"]
    on = stored(tmp_path / "on", made)
    assert torch.equal(encoded(on, models("epsilon"), tmp_path), encoded(file, models("epsilon"), tmp_path))


def test_two_are_merged_by_their_mean(teach: Train, models: Callable[[str], Path], tmp_path: Path) -> None:
    files = [
        stored(tmp_path / name, teach(context=LongContext(tmp_path / f"work{seed}", seed=seed)))
        for seed, name in enumerate(("one", "two"))
    ]
    out = tmp_path / "mean" / "m.safetensors"
    selma_core.merge(files, out, strategy="linear", weights=[1.0, 1.0])
    learnt = [read_learnt(file.parent / "encoder.safetensors") for file in files]
    found = read_learnt(out.with_name("m.encoder.safetensors"))
    assert all(torch.allclose(found[name], (learnt[0][name] + learnt[1][name]) / 2, atol=1e-7) for name in found)
    assert encoded(out, models("epsilon"), tmp_path).isfinite().all()
    assert read_layers(out).names() == read_layers(files[0]).names()
    assert read_card(files[0].parent)["longalign"]["widths"]["hidden"] == 8


@pytest.mark.parametrize("method", ["dora", "full"])
def test_the_other_trainers_of_the_denoiser_teach_it_too(teach: Train, method: str) -> None:
    made = teach(method=method, steps=2)
    assert set(made.encoder)
    assert all(name.startswith("unet.") for name in made.tensors)


def test_other_adapters_keep_learning_nothing_of_their_encoder(train: Train, tmp_path: Path) -> None:
    made = train(context=LongContext(tmp_path / "plain"), text_encoder=Slot("longalign", {"clip_len": 12}))
    assert made.encoder == {}
    assert "longalign" not in made.metadata

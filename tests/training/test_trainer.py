"""The trainer on tiny pipelines: it learns, resumes bit by bit, and its caches change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from selma_core.artifacts.adapter import adapter_file, read_layers, write_adapter
from selma_core.errors import ArtifactError, StageError, UserError
from selma_core.protocols import TrainedAdapter
from tests.tiny_stage import TinyContext
from tests.training.conftest import MODELS


def same(one: TrainedAdapter, other: TrainedAdapter) -> bool:
    return one.tensors.keys() == other.tensors.keys() and all(
        torch.equal(value, other.tensors[name]) for name, value in one.tensors.items()
    )


@pytest.mark.parametrize("model", MODELS)
def test_every_family_learns(train: Any, model: str) -> None:
    """The held-out loss at fixed noise falls well below the untrained model's."""
    adapter = train(model, steps=20, lr=2e-2, heldout=0.2, save_every=20)
    component = "unet" if model in {"epsilon", "v_prediction", "sdxl"} else "transformer"
    assert all(name.startswith(f"{component}.") for name in adapter.tensors)
    assert any(bool(value.any()) for name, value in adapter.tensors.items() if ".lora_B." in name)
    assert adapter.curve[-1]["heldout"] < 0.95 * adapter.metadata["heldout_before"]


def test_overfitting_few_images(train: Any, pictures: Any) -> None:
    """With convolutions among the targets the tiny model has enough room to learn two pictures by heart."""
    targets = ["to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2", "conv_in", "conv_out"]
    curve = train(images=pictures[:2], steps=80, log_every=20, lr=3e-2, rank=8, targets=targets, flip=False).curve
    assert curve[-1]["loss"] < 0.75 * curve[0]["loss"]
    assert [row["step"] for row in curve] == [20, 40, 60, 80]


@pytest.mark.parametrize("stop", [3, 5])
def test_a_killed_run_resumes_bit_by_bit(train: Any, tmp_path: Path, stop: int) -> None:
    settings = {"steps": 7, "save_every": 2, "ema": 0.9, "heldout": 0.2, "select": "heldout", "caption_dropout": 0.2}
    whole = train(**settings)
    context = TinyContext(tmp_path / "killed", stop_at=stop)
    with pytest.raises(KeyboardInterrupt):
        train(context=context, **settings)
    assert [path.name for path in context.workdir.glob("checkpoint-*")] == [f"checkpoint-{stop - 1}"]
    context.stop_at = None
    context.notes.clear()
    resumed = train(context=context, **settings)
    assert same(resumed, whole)
    assert resumed.curve == whole.curve
    assert resumed.metadata == whole.metadata
    assert next(done for done, _, note in context.notes if not note.startswith(("captions", "images"))) == stop


def test_two_runs_are_equal_and_seeds_differ(train: Any, tmp_path: Path) -> None:
    assert same(train(), train())
    assert not same(train(context=TinyContext(tmp_path / "seeded", seed=1)), train())


def test_the_latent_cache_changes_nothing(train: Any) -> None:
    assert same(train(cache_latents=True), train(cache_latents=False))


def test_the_split_into_forward_passes_changes_rounding_only(train: Any) -> None:
    whole, split = train(batch_size=4, accumulation=1, steps=2), train(batch_size=2, accumulation=2, steps=2)
    for name, value in whole.tensors.items():
        torch.testing.assert_close(split.tensors[name], value, atol=2e-4, rtol=1e-2)


def test_gradient_checkpointing_changes_rounding_only(train: Any) -> None:
    plain, saving = train(steps=2), train(steps=2, gradient_checkpointing="on")
    for name, value in plain.tensors.items():
        torch.testing.assert_close(saving.tensors[name], value, atol=2e-4, rtol=1e-2)


def test_experts_of_a_run_start_from_one_a(train: Any, pictures: Any) -> None:
    """As the released code: one seed for all skills. `per_set` is the other choice."""

    def a_of(images: Any, **options: Any) -> dict[str, torch.Tensor]:
        trained = train(images=images, steps=1, lr=1e-12, weight_decay=0.0, **options)
        return {name: value for name, value in trained.tensors.items() if ".lora_A." in name}

    first, second = a_of(pictures[:3]), a_of(pictures[3:])
    assert all(torch.allclose(value, second[name], atol=1e-9) for name, value in first.items())
    apart = [a_of(pictures[:3], init_seed="per_set"), a_of(pictures[3:], init_seed="per_set")]
    assert all(not torch.allclose(value, apart[1][name], atol=1e-3) for name, value in apart[0].items())


def test_alpha_is_folded_into_b(train: Any) -> None:
    plain, double = train(steps=1, alpha=None), train(steps=1, alpha=4.0)
    name = next(n for n in sorted(plain.tensors) if ".lora_B." in n and bool(plain.tensors[n].any()))
    # AdamW's first step has the size of the rate whatever the gradient, so B is equal and its scale is not.
    torch.testing.assert_close(double.tensors[name].abs().max(), 2 * plain.tensors[name].abs().max())


def test_going_on_from_an_adapter(train: Any, tmp_path: Path) -> None:
    first = train(steps=3)
    (tmp_path / "first").mkdir()
    write_adapter(tmp_path / "first", first)
    onward = train(adapter=adapter_file(tmp_path / "first"), steps=1, lr=1e-12, rank=4, weight_decay=0.0)
    for layer in read_layers(tmp_path / "first").names():
        wanted = first.tensors[f"{layer}.lora_B.weight"] @ first.tensors[f"{layer}.lora_A.weight"]
        found = onward.tensors[f"{layer}.lora_B.weight"] @ onward.tensors[f"{layer}.lora_A.weight"]
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-4)
    with pytest.raises(ArtifactError, match="rank 2"):
        train(adapter=adapter_file(tmp_path / "first"), rank=1)


@pytest.mark.parametrize("model", ["epsilon", "flux"])
def test_a_part_of_the_timesteps_is_trained_on_and_measured_on(train: Any, model: str) -> None:
    part, whole = (train(model, steps=1, heldout=0.2, **own) for own in ({"min_timestep": 900}, {}))
    assert (part.metadata["timesteps"], whole.metadata["timesteps"]) == ([900, 1000], [0, 1000])
    assert not same(part, whole)
    assert part.metadata["heldout_before"] != whole.metadata["heldout_before"]


def test_averaged_weights_are_kept_on_request(train: Any) -> None:
    assert not same(train(ema=0.9), train())


def test_checkpoint_choice_on_held_out_prompts(train: Any) -> None:
    """A rate far too high makes the last checkpoint worse than an earlier one."""
    picked = train(steps=12, lr=0.2, heldout=0.2, save_every=2, select="heldout")
    losses = {row["step"]: row["heldout"] for row in picked.curve}
    assert picked.metadata["kept_step"] == min(losses, key=lambda step: losses[step])


def test_wrong_target_is_one_line(train: Any) -> None:
    with pytest.raises(UserError, match="did you mean 'to_q'") as caught:
        train(targets=["to_qq"])
    assert "\n" not in str(caught.value)


def test_a_loss_that_is_no_number_stops_the_stage(train: Any) -> None:
    with pytest.raises(StageError, match="lower 'lr'"):
        train(lr=1e30, steps=6, clip=0.0)


def test_broken_image_is_named(train: Any, pictures: Any, tmp_path: Path) -> None:
    import attrs

    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    with pytest.raises(ArtifactError, match=r"bad\.png"):
        train(images=[*pictures, attrs.evolve(pictures[0], path=bad, sha256="0")])


def test_select_heldout_needs_held_out_prompts(train: Any) -> None:
    with pytest.raises(UserError, match="select: heldout"):
        train(select="heldout")

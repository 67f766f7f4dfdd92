"""The trainer on a tiny base: every loss reaches the adapter, runs resume, the artifact draws what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from selma_plugins.diffusion.loading import load_pipeline
from selma_plugins.diffusion.matched import encoder_for
from selma_plugins.encoders.clip import PipelineEncoder
from selma_plugins.sur.encoder import SurEncoder
from selma_plugins.sur.options import SurEncoderOptions, SurOptions

from selma_core.artifacts.adapter import adapter_file, read_card, read_layers, write_adapter
from selma_core.data import ImageItem
from selma_core.errors import ArtifactError, UserError
from selma_core.options import Slot
from selma_core.protocols import Embeddings, LearntEncoder, TextEncoder, TrainedAdapter
from selma_core.records import NoOptions
from tests import tiny_models
from tests.sur.conftest import SurContext, Train

ALONE = {"llm_weight": 0.0, "teacher": ""}
ORDINARY = ("a plain table", "two green chairs", "a lamp on a desk")


def pair_of(item: ImageItem, simple: str, full: str) -> ImageItem:
    return attrs.evolve(item, prompt=attrs.evolve(item.prompt, text=full, meta={"simple": simple, "complex": full}))


def same(one: TrainedAdapter, other: TrainedAdapter) -> bool:
    return one.encoder.keys() == other.encoder.keys() and all(
        torch.equal(value, other.encoder[name]) for name, value in one.encoder.items()
    )


def stored(folder: Path, adapter: TrainedAdapter) -> Path:
    folder.mkdir()
    write_adapter(folder, adapter)
    return adapter_file(folder)


def encoded(adapter: Path, base: Path, work: Path, *prompts: str, **options: Any) -> torch.Tensor:
    encoder = encoder_for(Slot("sur_adapter", options) if options else Slot(), [adapter], SurContext(work))
    assert isinstance(encoder, TextEncoder)
    assert isinstance(encoder, LearntEncoder)
    return encoder.encode(load_pipeline(base, torch.float32), list(prompts)).hidden


def test_the_diffusion_loss_alone_reaches_the_adapter(train: Train) -> None:
    made = train(steps=1, prompt_weight=0.0, **ALONE)
    assert made.encoder["network.fc.weight"].abs().sum() > 0
    longer = train(steps=40, prompt_weight=0.0, log_every=20, **ALONE)
    assert longer.curve[-1]["diffusion"] < longer.curve[0]["diffusion"]


@pytest.mark.parametrize("kind", ["kl", "mse", "cosine"])
def test_the_prompt_loss_makes_simple_prompts_like_complex_ones(train: Train, kind: str) -> None:
    options = {"diffusion_weight": 0.0, "prompt_weight": 1.0, "kind": kind, "eta": 1.0, "lr": 3e-3, **ALONE}
    made = train(steps=60, log_every=10, **options)
    assert made.curve[-1]["prompt"] < 0.7 * made.curve[0]["prompt"]


def test_what_pairs_tell_alike_twice_is_left_alone(
    train: Train, pairs: tuple[ImageItem, ...], base: Path, tmp_path: Path
) -> None:
    alike = [pair_of(item, text, text) for item, text in zip(pairs, ORDINARY, strict=False)]
    plain = PipelineEncoder(NoOptions()).encode(load_pipeline(base, torch.float32), list(ORDINARY)).hidden
    options = {"diffusion_weight": 0.0, "prompt_weight": 1.0, "kind": "mse", "eta": 1.0, "lr": 3e-3, **ALONE}
    change = []
    for weight in (0.0, 100.0):
        made = train((*alike, *pairs[3:]), steps=60, log_every=10, keep_weight=weight, **options)
        file = stored(tmp_path / f"adapter{weight}", made)
        change.append((encoded(file, base, tmp_path / f"work{weight}", *ORDINARY) - plain).square().mean().item())
        assert made.curve[-1]["prompt"] < made.curve[0]["prompt"]  # and the others are still taught
        assert made.metadata["weights"]["keep"] == weight
    assert change[1] < 0.5 * change[0]


def test_the_teacher_s_loss_falls_and_its_projection_is_kept(train: Train) -> None:
    made = train(steps=30, log_every=10, diffusion_weight=0.0, prompt_weight=0.0, llm_weight=1.0)
    assert made.curve[-1]["llm"] < made.curve[0]["llm"]
    assert tuple(made.encoder["projection.weight"].shape) == (32, 24)
    assert made.metadata["teaching"]["projection"] == "learned"


def test_a_random_projection_comes_back_by_its_seed(train: Train) -> None:
    first, second, other = (
        train(steps=1, log_every=1, llm_weight=1.0, projection="random", projection_seed=seed) for seed in (3, 3, 4)
    )
    assert first.curve[0]["llm"] == second.curve[0]["llm"] != other.curve[0]["llm"]
    assert "projection.weight" not in first.encoder
    assert first.metadata["teaching"]["projection_seed"] == 3


def test_a_killed_run_that_goes_on_equals_one_that_was_not(train: Train, tmp_path: Path) -> None:
    options = {"steps": 6, "save_every": 2, "ema": 0.9, "llm_weight": 0.1, "prompt_weight": 0.1}
    whole = train(**options)
    context = SurContext(tmp_path / "killed", stop_at=5)
    with pytest.raises(KeyboardInterrupt):
        train(context=context, **options)
    resumed = train(context=SurContext(tmp_path / "killed"), **options)
    assert same(whole, resumed)
    assert whole.curve == resumed.curve
    assert not same(whole, train(context=SurContext(tmp_path / "other", seed=1), **options))


def test_the_artifact_draws_what_was_trained(train: Train, base: Path, tmp_path: Path) -> None:
    made = train(prompt_weight=1.0)
    file = stored(tmp_path / "adapter", made)
    card = read_card(file.parent)
    assert card["encoder"]["use"] == "sur_adapter"
    assert {key: card["sur_adapter"][key] for key in ("eta", "width", "depth", "residual")} == {
        "eta": 0.1, "width": 32, "depth": 2, "residual": "additive",
    }  # fmt: skip
    assert card["teaching"]["layer"] == -1
    assert card["method"] == "sur_adapter"
    assert read_layers(file).names() == []
    plain = SurEncoder(SurEncoderOptions()).plain(load_pipeline(base, torch.float32), ["a cat"]).hidden
    found = encoded(file, base, tmp_path, "a cat")
    assert not torch.equal(found, plain)
    assert torch.equal(found, encoded(file, base, tmp_path, "a cat"))  # no dropout
    both = encoded(file, base, tmp_path, "a cat", "a red hat")
    assert torch.allclose(both[:1], found, atol=1e-5)
    moved = tmp_path / "eta0.7"
    file.parent.rename(moved)  # the released code reads eta from this name
    assert torch.equal(encoded(adapter_file(moved), base, tmp_path, "a cat"), found)


def test_before_the_first_step_nothing_changes(train: Train, base: Path, tmp_path: Path) -> None:
    made = train(steps=1, lr=1e-30)
    file = stored(tmp_path / "adapter", made)
    plain = SurEncoder(SurEncoderOptions()).plain(load_pipeline(base, torch.float32), ["a cat"]).hidden
    assert torch.allclose(encoded(file, base, tmp_path, "a cat"), plain, atol=1e-6)


def test_the_empty_prompt_may_be_left_alone(train: Train, base: Path, tmp_path: Path) -> None:
    options = {"apply_to": "positive"}
    file = stored(tmp_path / "adapter", train(prompt_weight=1.0, text_encoder=Slot("sur_adapter", options)))
    plain = SurEncoder(SurEncoderOptions()).plain(load_pipeline(base, torch.float32), ["", "a cat"]).hidden
    found = encoded(file, base, tmp_path, "", "a cat", **options)
    assert torch.equal(found[0], plain[0])
    assert not torch.equal(found[1], plain[1])
    assert torch.equal(encoded(file, base, tmp_path, ""), found[:1]), "as it was trained, when nothing is said"


def test_a_mask_leaves_padding_alone(train: Train, base: Path, tmp_path: Path) -> None:
    file = stored(tmp_path / "adapter", train(prompt_weight=1.0, mask_padding=True))
    plain = SurEncoder(SurEncoderOptions()).plain(load_pipeline(base, torch.float32), ["cat"]).hidden
    found = encoded(file, base, tmp_path, "cat")
    changed = (found != plain).any(-1)[0].tolist()
    assert changed == [True] * 5 + [False] * (tiny_models.LENGTH - 5)  # mark, c, a, t, mark


def test_another_base_is_refused_by_both_names_unless_forced(train: Train, base: Path, tmp_path: Path) -> None:
    file = stored(tmp_path / "adapter", train())
    pipeline = load_pipeline(base, torch.float32)
    torch.manual_seed(9)
    with torch.no_grad():
        for weight in pipeline.text_encoder.parameters():
            weight.copy_(torch.randn_like(weight) / 4)
    pipeline.save_pretrained(tmp_path / "stranger")
    with pytest.raises(ArtifactError, match=rf"trained for '{base}', and '.*stranger' has another text encoder"):
        encoded(file, tmp_path / "stranger", tmp_path, "a cat")
    assert encoded(file, tmp_path / "stranger", tmp_path, "a cat", force=True).isfinite().all()
    forced = stored(tmp_path / "forced", train(text_encoder=Slot("sur_adapter", {"force": True})))
    assert encoded(forced, tmp_path / "stranger", tmp_path, "a cat").isfinite().all()


def test_an_encoder_without_an_adapter_says_where_it_comes_from(base: Path) -> None:
    with pytest.raises(UserError, match="comes with the adapter that the trainer 'sur_adapter' made"):
        SurEncoder(SurEncoderOptions()).encode(load_pipeline(base, torch.float32), ["a cat"])


def test_models_with_a_pooled_embedding_are_refused(train: Train, tmp_path: Path) -> None:
    model = tiny_models.sdxl(tmp_path / "sdxl")
    with pytest.raises(UserError, match="StableDiffusionXLPipeline reads a pooled one too"):
        train(model=str(model), **ALONE)


def test_released_trains_by_the_two_distances_only(train: Train) -> None:
    made = train(released=True, prompt_weight=1.0, llm_weight=1.0, log_every=4)
    assert set(made.curve[-1]) >= {"prompt", "llm"}
    assert "diffusion" not in made.curve[-1]
    said = made.metadata["sur_adapter"]
    assert (said["legacy"], said["residual"]) == (True, "convex")
    assert made.metadata["teaching"]["projection"] == "random"


def test_options_that_teach_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="there is no teacher to be like; name one in 'teacher'"):
        SurOptions(model="m")
    with pytest.raises(ValueError, match="all loss weights are 0"):
        SurOptions(model="m", llm_weight=0, prompt_weight=0, released=True)


def test_a_lora_learns_beside_the_adapter_and_is_passed_on(train: Train, tmp_path: Path) -> None:
    both = train(rank=2, prompt_weight=1.0, **ALONE)
    assert any(name.endswith("lora_B.weight") and value.abs().sum() > 0 for name, value in both.tensors.items())
    assert (both.metadata["method"], both.metadata["rank"]) == ("sur_adapter", 2)
    start = stored(tmp_path / "start", both)
    on = train(adapter=start, steps=1, **ALONE)
    assert all(torch.allclose(value, on.tensors[name]) for name, value in both.tensors.items())
    still = train(adapter=start, steps=1, lr=1e-30, **ALONE)
    name = "network.mlp.0.weight"
    assert torch.allclose(still.encoder[name], both.encoder[name])
    assert not torch.allclose(still.encoder[name], train(steps=1, lr=1e-30, **ALONE).encoder[name])
    with pytest.raises(ArtifactError, match="give 'depth', 'heads' and 'teacher' as they were"):
        train(adapter=start, depth=3, **ALONE)


def test_images_without_pairs_end_the_run_before_anything_is_loaded(train: Train, pairs: tuple[ImageItem, ...]) -> None:
    bare = attrs.evolve(pairs[0], prompt=attrs.evolve(pairs[0].prompt, meta={"simple": "a cat"}))
    with pytest.raises(UserError, match="1 of 6 images have no pair of a simple and a complex prompt, first: 'p0-0'"):
        train(images=(bare, *pairs[1:]), model="nowhere")


def test_a_width_that_the_heads_do_not_divide_is_refused(train: Train) -> None:
    with pytest.raises(UserError, match="heads: 5 does not divide the text encoder's width 32"):
        train(heads=5, **ALONE)


def test_embeddings_stay_in_their_own_type(train: Train, base: Path, tmp_path: Path) -> None:
    file = stored(tmp_path / "adapter", train())
    encoder = encoder_for(Slot(), [file], SurContext(tmp_path))
    found: Embeddings = encoder.encode(load_pipeline(base, torch.bfloat16), ["a cat"])
    assert found.hidden.dtype is torch.bfloat16

"""`reward_lora` as a trainer: it raises rewards, resumes, starts from another adapter, and holds back when told to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from selma_plugins.diffusion.fuse import fuse
from selma_plugins.preference.options import DenscoreOptions
from selma_plugins.reward_training.options import RewardLoraOptions

from selma_core.artifacts.adapter import adapter_file, write_adapter
from selma_core.data import ImageItem
from selma_core.errors import UserError
from selma_core.options import Slot
from selma_core.protocols import TrainedAdapter
from tests.reward_training.conftest import TARGETS, RewardContext
from tests.tiny_stage import items


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageItem, ...]:
    return items(tmp_path_factory.mktemp("pictures"), 4)


def same(one: TrainedAdapter, other: TrainedAdapter) -> bool:
    return one.tensors.keys() == other.tensors.keys() and all(
        torch.equal(value, other.tensors[name]) for name, value in one.tensors.items()
    )


def learnt(adapter: TrainedAdapter) -> float:
    """Length of all B together: zero at the start."""
    return float(torch.cat([v.flatten() for k, v in adapter.tensors.items() if ".lora_B." in k]).norm())


@pytest.mark.parametrize("model", ["epsilon", "v_prediction", "sdxl"])
@pytest.mark.parametrize("method", ["drtune", "draft_k", "refl"])
def test_one_step_of_every_method_on_every_family(train: Any, model: str, method: str) -> None:
    adapter = train(model, method=method, steps=1)
    assert learnt(adapter) > 0
    assert set(adapter.curve[0]) == {"step", "loss", "lr", "reward", "redness"}
    assert adapter.metadata["gradients"] == method


def test_the_reward_rises(train: Any) -> None:
    """Redder pictures for two prompts and less red ones for the third, seen in the curve."""
    curve = train(steps=20, lr=4e-2, batch_size=3, log_every=10, save_every=20, draw_steps=4, k=2).curve
    assert curve[-1]["reward"] > curve[0]["reward"] + 0.02
    assert [row["step"] for row in curve] == [10, 20]
    for row in curve:
        assert row["loss"] == pytest.approx(0.5 * (1 - row["reward"]), abs=1e-5)


def test_rewards_are_weighed_and_logged_with_their_parts(train: Any) -> None:
    rewards = {"red": Slot("redness"), "sharp": Slot("contrast")}
    (row,) = train(rewards=rewards, weights={"red": 2.0}, steps=1, batch_size=2, accumulation=2).curve
    assert set(row) - {"step", "loss", "lr"} == {"reward", "red", "sharp", "sharp.spread", "sharp.mean"}
    assert row["reward"] == pytest.approx(2 * row["red"] + row["sharp"], abs=1e-6)
    assert row["sharp"] == pytest.approx(row["sharp.spread"] + 0.5 * row["sharp.mean"], abs=1e-6)


def test_a_margin_is_as_refl_has_it(train: Any) -> None:
    (row,) = train(margin=2.0, loss_scale=1e-3, steps=1).curve
    assert row["loss"] == pytest.approx(1e-3 * (2 - row["reward"]), abs=1e-8)
    assert learnt(train(margin=-5.0, steps=1, weight_decay=0.0)) == 0  # all are good enough


@pytest.mark.parametrize("stop", [3, 5])
def test_a_killed_run_resumes_bit_by_bit(train: Any, tmp_path: Path, stop: int) -> None:
    settings = {
        "steps": 6,
        "save_every": 2,
        "log_every": 3,
        "ema": 0.9,
        "draw_steps": 4,
        "rewards": {"sharp": Slot("contrast")},
    }
    whole = train(**settings)
    context = RewardContext(tmp_path / "killed", stop_at=stop)
    with pytest.raises(KeyboardInterrupt):
        train(context=context, **settings)
    context.stop_at = None
    resumed = train(context=context, **settings)
    assert same(resumed, whole)
    assert resumed.curve == whole.curve
    assert resumed.metadata == whole.metadata


def test_the_split_into_forward_passes_changes_rounding_only(train: Any) -> None:
    whole, split = train(batch_size=2, accumulation=1, steps=1), train(batch_size=1, accumulation=2, steps=1)
    for name, value in whole.tensors.items():
        torch.testing.assert_close(split.tensors[name], value, atol=2e-3, rtol=1e-2)


def weights_with(folder: Path, *adapters: Path) -> dict[str, torch.Tensor]:
    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    for adapter in adapters:
        fuse(pipeline, adapter)
    return {name: value.clone() for name, value in pipeline.unet.state_dict().items()}


def stored(folder: Path, adapter: TrainedAdapter) -> Path:
    folder.mkdir()
    write_adapter(folder, adapter)
    return adapter_file(folder)


def test_the_start_and_what_was_learnt_leave_as_one_adapter(
    train: Any, models: Callable[[str], Path], tmp_path: Path, pictures: Any
) -> None:
    """Stage S by `lora`, its file as it is into stage R; R's file alone is S + R, and plain diffusers loads it."""
    from selma_plugins.training.options import LoraOptions
    from selma_plugins.training.trainer import LoraTrainer

    from selma_core.protocols import TrainJob

    work = tmp_path / "s"
    work.mkdir()
    # other layers than R's, and another rank
    options = LoraOptions(model=str(models("epsilon")), rank=3, steps=2, batch_size=2, accumulation=1, lr=3e-2,
                          targets=["to_q", "conv2"], heldout=0.0)  # fmt: skip
    first = LoraTrainer(options).train(TrainJob(context=RewardContext(work), images=pictures))
    start = stored(tmp_path / "start", first)
    both = train(adapter=start, steps=2, lr=3e-2)
    assert both.metadata["start"] is True
    alone = {}
    for name, value in both.tensors.items():
        known = first.tensors.get(name)
        if known is None:
            alone[name] = value
        else:  # the first factors are the start's, untouched
            axis = 0 if ".lora_A." in name else 1
            own, rest = value.split([3, value.shape[axis] - 3], dim=axis)
            assert torch.equal(own, known)
            if rest.numel():
                alone[name] = rest
    alone = {k: v for k, v in alone.items() if k.replace("lora_A", "lora_B") in alone}
    learnt_alone = stored(tmp_path / "alone", TrainedAdapter(tensors=alone))
    together, apart = (
        weights_with(models("epsilon"), *files) for files in ([stored(tmp_path / "both", both)], [start, learnt_alone])
    )
    for name, value in apart.items():
        torch.testing.assert_close(together[name], value, rtol=1e-5, atol=1e-6)
    assert learnt(TrainedAdapter(tensors=alone)) > 0
    # training saw S: from the bare base the first pictures are others
    assert train(steps=1).curve[0]["reward"] != both.curve[0]["reward"]
    StableDiffusionPipeline.from_pretrained(models("epsilon")).load_lora_weights(
        tmp_path / "both", weight_name=adapter_file(tmp_path / "both").name
    )


def test_a_distance_from_the_start_holds_back(train: Any) -> None:
    """At the first step there is no distance; then more weight on it means less of it."""
    settings = {"steps": 6, "lr": 3e-2, "batch_size": 2, "draw_steps": 4}
    loose, tight = (train(kl=kl, **settings).curve for kl in (1e-6, 100.0))
    assert loose[0]["kl"] == tight[0]["kl"] == 0
    assert loose[-1]["kl"] > 2 * tight[-1]["kl"] > 0
    assert "kl" not in train(steps=1).curve[0]


def test_the_ordinary_loss_on_images(train: Any, pictures: Any) -> None:
    """With `sft` it is part of the loss and of the gradient; images alone are prompts."""
    settings = {"prompts": (), "images": pictures, "steps": 2}
    plain, held = train(**settings), train(sft=1.0, **settings)
    assert not same(plain, held)
    row = held.curve[0]
    assert row["loss"] == pytest.approx(0.5 * (1 - row["reward"]) + row["sft"], abs=1e-5)
    assert plain.metadata["prompts"] == len({item.prompt.text for item in pictures})
    with pytest.raises(UserError, match="sft: the ordinary loss needs images"):
        train(sft=1.0)


def test_held_out_images_measure_the_ordinary_loss(train: Any, pictures: Any) -> None:
    adapter = train(prompts=(), images=pictures, heldout=0.3, steps=2, save_every=1)
    assert [row["step"] for row in adapter.curve if "heldout" in row] == [1, 2]
    assert adapter.metadata["heldout_before"] > 0
    assert adapter.metadata["prompts"] == 3  # the fourth is held out


def test_guidance_of_one_asks_for_prompts_only(train: Any) -> None:
    assert learnt(train(guidance=1.0, steps=1)) > 0
    assert not same(train(guidance=1.0, steps=1), train(guidance=3.0, steps=1))


def test_small_updates_accumulate_in_fp32(train: Any) -> None:
    """Twenty updates of a ten-thousandth of A: in bf16 every one of them would be rounded away."""
    start, end = (train(precision="bf16", lr=lr, steps=steps, weight_decay=0.0, draw_steps=2, k=1, log_every=50)
                  for lr, steps in ((1e-12, 1), (3e-5, 20)))  # fmt: skip
    for name, value in end.tensors.items():
        assert value.dtype == torch.float32
        if ".lora_B." in name:
            assert 0 < float(value.abs().max()) <= 1.1 * 20 * 3e-5
            assert value.unique().numel() > value.numel() // 2
    assert any(not torch.equal(value, start.tensors[name]) for name, value in end.tensors.items() if "lora_A" in name)


def test_what_cannot_be_trained_on_is_refused(train: Any) -> None:
    with pytest.raises(UserError, match="reward 'dark' has no gradient to the image"):
        train(rewards={"dark": Slot("blind")})
    with pytest.raises(UserError, match="there is no prompt to draw"):
        train(prompts=())
    with pytest.raises(UserError, match="draws by DDIM, which a FlowMatch"):
        train("sd3", targets=["to_q"])
    with pytest.raises(UserError, match="select: heldout needs images"):
        train(select="heldout")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"k": 3}, "k divides draw_steps, 10"),
        ({"k": 11, "method": "draft_k"}, "11 of 10 steps"),
        ({"weights": {"reddness": 1.0}}, "'reddness' is none of the rewards (redness)"),
        ({"rewards": {}}, "name one at least"),
        ({"init_seed": "per_set"}, "reward_lora has one: shared"),
    ],
)
def test_options_that_do_not_fit_together(given: dict[str, Any], message: str) -> None:
    from tests.reward_training.conftest import options_of

    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
        options_of(Path("x"), **given)


def test_the_defaults_are_stage_r_of_the_paper() -> None:
    found = RewardLoraOptions(model="x")
    assert (found.method, found.draw_steps, found.k, found.guidance) == ("drtune", 50, 5, 7.5)
    assert (found.rank, found.lr, found.warmup, found.clip) == (32, 3e-5, 2000, 0.3)
    assert found.batch_size * found.accumulation == 48
    assert (found.kl, found.sft, found.caption_dropout) == (0, 0, 0)
    # a missing omega is the released one; the released command leaves it empty and ends
    assert found.rewards == {"denscore": Slot("denscore")}
    assert DenscoreOptions().omega == 0.3
    assert TARGETS  # the tiny models lack some of the default's layers

"""Options of `reward_lora`. The defaults are those of LongAlign's stage R for SD 1.5, in fp32 or autocast."""

from __future__ import annotations

from typing import Literal

import attrs

from selma_core.options import Slot, at_least, between, component, option, positive
from selma_plugins.training.options import LoraOptions

_PAPER = [
    "to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "conv1", "conv2", "conv_shortcut", "time_emb_proj"
]  # fmt: skip


@attrs.frozen
class RewardLoraOptions(LoraOptions):
    """Options of `reward_lora`: those of `lora`, where what concerns pictures and noise levels is for `sft` and the
    held-out loss, and how pictures are drawn and rewarded.

    Attributes:
        rewards: name -> evaluator whose reward is raised. weights: name -> its weight in the sum; 1 if none is given.
        method: `drtune`: `k` of the `draw_steps`, evenly spaced from a random first one, with no gradient through what
            the denoiser is given; the picture is drawn to the end. `draft_k`: the last `k` steps, with all gradients.
            `refl`: one late step, from whose prediction the picture is made at once.
        refl_from: `refl` draws its step evenly from this share of the way on (ReFL: steps 30 to 39 of 40).
        margin: the loss is `loss_scale` x (1 - r), or with a margin `loss_scale` x max(margin - r, 0), as ReFL with 2.
        kl: weight of the mean squared distance of the trained steps' predictions from those of the start.
        sft: weight of the ordinary loss on the images, which are then needed.
    """

    targets: list[str] = option(_PAPER, help="ends of paths of the modules that learn")
    resolution: int | None = option(None, help="pixels of the side of the pictures; null = the model's own")
    rank: int = option(32, help="rank of the new adapter", check=positive)
    steps: int = option(3750, help="optimizer steps", check=positive)
    batch_size: int = option(8, help="pictures per forward pass", check=positive)
    accumulation: int = option(6, help="forward passes per optimizer step", check=positive)
    lr: float = option(3e-5, help="learning rate", check=positive)
    warmup: int = option(2000, help="steps over which the rate rises from 0", check=at_least(0))
    clip: float = option(0.3, help="largest norm of the gradient; 0 = no limit", check=at_least(0))
    save_every: int = option(1250, help="steps between checkpoints", check=positive)
    heldout: float = option(0.0, help="share of the prompts whose images are held out", check=between(0, 0.9))
    gradient_checkpointing: Literal["off", "on", "auto"] = option(
        "on", help="keep no activations of the trained steps and compute them again", changes_results=False
    )
    # the rewards
    rewards: dict[str, Slot] = component(
        "evaluator", {"denscore": Slot("denscore")}, help="name -> evaluator with a reward"
    )
    weights: dict[str, float] = option({}, help="name -> weight of a reward; 1 where none is given")
    margin: float | None = option(None, help="a reward above this is good enough; null = always more")
    loss_scale: float = option(0.5, help="factor of the rewards in the loss", check=positive)
    # the drawing
    method: Literal["drtune", "draft_k", "refl"] = option("drtune", help="through which steps gradients go")
    draw_steps: int = option(50, help="DDIM steps of a picture", check=positive)
    k: int = option(5, help="steps with a gradient; refl has one", check=positive)
    refl_from: float = option(0.75, help="share of the steps that refl never trains", check=between(0, 0.99))
    guidance: float = option(7.5, help="classifier-free guidance; 1 = none", check=at_least(0))
    # what holds it back
    kl: float = option(0.0, help="weight of the distance from the start's predictions", check=at_least(0))
    sft: float = option(0.0, help="weight of the ordinary loss on the images", check=at_least(0))

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if not self.rewards:
            raise ValueError("rewards: name one at least, such as {quality: {use: pickscore}}")
        strange = sorted(set(self.weights) - set(self.rewards))
        if strange:
            raise ValueError(f"weights: '{strange[0]}' is none of the rewards ({', '.join(self.rewards)})")
        if self.method != "refl" and self.k > self.draw_steps:
            raise ValueError(f"k: {self.k} of {self.draw_steps} steps cannot be trained; lower k or raise draw_steps")
        if self.method == "drtune" and self.draw_steps % self.k:
            raise ValueError(f"k: {self.k} steps are evenly spaced only if k divides draw_steps, {self.draw_steps}")
        if self.init_seed == "per_set":
            raise ValueError("init_seed: per_set tells experts apart by their images; reward_lora has one: shared")

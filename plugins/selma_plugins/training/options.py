"""Options of the bundled adapter trainers.

The defaults are the settings of SELMA's released code for SD 1.x, but for these: images keep their own size (there
`resolution: 512`), are cropped at their centre (`crop: random`), in a precision that fits the device (`fp16`); 5 % of
the prompts are held out (`heldout: 0` trains on all); the last checkpoint is kept (the paper took the best on its test
benchmark); skills that say `flip: false` are not mirrored (`flip_all_skills: true` mirrors them too).
"""

from __future__ import annotations

from typing import Literal

import attrs

from selma_core.options import Slot, at_least, between, component, entry, option, positive


@attrs.frozen
class TrainingOptions:
    """What all bundled trainers share: the model, the data, the steps, the loss."""

    model: str = entry("models", help="registry name, folder of a diffusers pipeline, or hub:owner/name@commit")
    targets: list[str] = option(["to_q", "to_k", "to_v", "to_out.0"], help="ends of paths of the modules that learn")
    # the data
    resolution: int | None = option(
        None, help="pixels of the side: the shorter one is resized, the longer one cropped; null = as the images are"
    )
    crop: Literal["center", "random"] = option(
        "center", help="random: another part of the longer side at every step; needs cache_latents: false"
    )
    flip: bool = option(True, help="random horizontal flip, but of skills that say `flip: false`")
    flip_all_skills: bool = option(False, help="flip images of these skills too, as the paper's code does")
    flip_sided: bool = option(True, help="flip images whose prompts hold left, right or text too")
    unflipped_skills: list[str] = option([], help="skills whose images are never flipped")
    caption_dropout: float = option(0.0, help="share of samples trained without caption", check=between(0, 1))
    # the steps
    steps: int = option(5000, help="optimizer steps", check=positive)
    batch_size: int = option(16, help="samples per forward pass", check=positive)
    accumulation: int = option(4, help="forward passes per optimizer step", check=positive)
    lr: float = option(3e-4, help="learning rate", check=positive)
    lr_schedule: Literal["constant", "linear", "cosine"] = option("constant", help="after the warm-up")
    warmup: int = option(0, help="steps over which the rate rises from 0", check=at_least(0))
    beta1: float = option(0.9, help="AdamW", check=between(0, 1))
    beta2: float = option(0.999, help="AdamW", check=between(0, 1))
    weight_decay: float = option(1e-2, help="AdamW", check=at_least(0))
    epsilon: float = option(1e-8, help="AdamW", check=positive)
    clip: float = option(1.0, help="largest norm of the gradient; 0 = no limit", check=at_least(0))
    ema: float = option(0.0, help="decay of the averaged weights that are kept; 0 = keep the last", check=between(0, 1))
    # the loss
    min_snr: float = option(0.0, help="gamma of min-SNR weighting; 0 = plain mean squared error", check=at_least(0))
    # Guided pictures teach what stands where at high noise, and the sampler's own traces at low noise.
    min_timestep: int = option(0, help="lowest timestep trained on; 0 to 999", check=between(0, 999))
    max_timestep: int = option(1000, help="end of the timesteps trained on; 1 to 1000", check=between(1, 1000))
    sample_weight: str = option("", help="metric of the selection that weighs each image's loss (GORS); empty = alike")
    noise_offset: float = option(0.0, help="extra noise per channel", check=at_least(0))
    flow_sampling: Literal["logit_normal", "uniform"] = option("logit_normal", help="noise levels of flow models")
    # what is measured and kept
    heldout: float = option(0.05, help="share of the prompts held out for the held-out loss", check=between(0, 0.9))
    select: Literal["last", "heldout"] = option("last", help="which checkpoint: last, or lowest held-out loss")
    save_every: int = option(500, help="steps between checkpoints and held-out losses", check=positive)
    log_every: int = option(10, help="steps per point of the loss curve", check=positive)
    text_encoder: Slot = component(
        "text_encoder", Slot(), help="who embeds the captions; default: the start adapter's own, else clip"
    )
    # how, not what
    precision: Literal["auto", "no", "fp16", "bf16"] = option("auto", help="no, fp16, bf16; auto = by device")
    cache_latents: bool = option(True, help="encode every image once", changes_results=False)
    gradient_checkpointing: Literal["off", "on", "auto"] = option(
        "auto", help="off, on, auto = when memory runs out", changes_results=False
    )

    def __attrs_post_init__(self) -> None:
        if self.crop == "random" and self.resolution is None:
            raise ValueError("crop: random crops nothing without a size; set resolution, or crop: center")
        if self.crop == "random" and self.cache_latents:
            raise ValueError(
                "crop: random takes another part of an image at every step, so it cannot be encoded once; "
                "set cache_latents: false, or crop: center"
            )
        if self.min_timestep >= self.max_timestep:
            raise ValueError(
                f"min_timestep: {self.min_timestep} leaves nothing to train on; set it below max_timestep, "
                f"which is {self.max_timestep}"
            )


@attrs.frozen
class LoraOptions(TrainingOptions):
    """Options of `lora`."""

    rank: int = option(128, help="rank of the adapter", check=positive)
    alpha: float | None = option(None, help="scale times rank; null = the rank, so that the scale is 1")
    init: Literal["gaussian", "kaiming"] = option("gaussian", help="A at the start: gaussian (1/rank) or kaiming")
    init_seed: Literal["shared", "per_set"] = option(
        "shared", help="A equal for all experts of a run, or one per image set"
    )


@attrs.frozen
class DoraOptions(LoraOptions):
    """Options of `dora`: those of `lora`. The magnitudes start at the norms of the model's own rows."""


@attrs.frozen
class FullOptions(TrainingOptions):
    """Options of `full`; the rate is for whole weights, a thirtieth of LoRA's."""

    lr: float = option(1e-5, help="learning rate", check=positive)

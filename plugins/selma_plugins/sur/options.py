"""Options of SUR-adapter's plugins. Light: imported for listing and validation."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from selma_core.options import Slot, at_least, between, component, entry, option, positive
from selma_plugins.training.options import LoraOptions, TrainingOptions

COMPLEX = (
    "Rewrite this description of a picture as a prompt for an image generator: say everything in it explicitly, then "
    "add words for style and quality, separated by commas. One line, at most 60 words, the prompt only.\n{prompt}"
)
CAPTION = "Describe this picture in one short plain sentence, as a caption."


@attrs.frozen
class SurdOptions:
    """Options of `surd`."""

    folder: str = entry("folders", help="folder of images with metadata.jsonl: {file_name, text, prompt}")
    n: int | None = option(None, help="only the first n", check=attrs.validators.optional(at_least(1)))
    text: Literal["simple", "complex"] = option("simple", help="which of the two is the prompt's text; both are kept")
    clean_webui: bool = option(True, help="complex prompts without weights and networks: (masterpiece:1.2), <lora:x:1>")
    max_tokens: int = option(77, help="complex prompts keep the phrases that fit; 0 = all", check=at_least(0))
    skill: str = option("surd", help="label of the prompts")


@attrs.frozen
class SurdImagesOptions:
    """Options of `surd_images`."""

    folder: str = entry("folders", help="the folder that `surd` reads; pinned by its content")


@attrs.frozen
class CaptionPairsOptions:
    """Options of `caption_pairs`."""

    captioner: Slot = component("chat_model", Slot("openai"), help="who says what is in a picture; must see images")
    instruction: str = option(CAPTION, help="what the captioner is asked")
    max_tokens: int = option(48, help="longest caption", check=positive)
    batch_size: int = option(16, help="images per call", changes_results=False, check=positive)


@attrs.frozen
class SurEncoderOptions:
    """Options of the text encoder `sur_adapter`. What was learnt, eta among it, comes with the adapter.

    All but `encoder` may be given to whoever draws with it, too.
    """

    encoder: Slot = component("text_encoder", Slot("clip"), help="whose embeddings are adapted")
    apply_to: Literal["both", "positive"] = option(
        "both", help="both: the negative prompt too, as in the paper; positive: the empty one stays as it is"
    )
    force: bool = option(False, help="use an adapter also with a base that it was not trained for")
    eta: float | None = option(
        None,
        help="how much of the adapter there is when it draws; null = as it was trained",
        check=attrs.validators.optional(between(0, 1)),
        added=True,
    )


@attrs.frozen
class ScaledOptions:
    """Options of the text encoder `scaled`."""

    encoder: Slot = component("text_encoder", Slot("clip"), help="whose embeddings are scaled")
    factor: float = option(0.9, help="what they are multiplied by; 0.9 = a convex SUR-adapter that has learnt nothing")


def _holds_prompt(instance: Any, field: attrs.Attribute[Any], value: str) -> None:
    if "{prompt}" not in value:
        raise ValueError(f"must contain {{prompt}}, not {value!r}")


@attrs.frozen
class RewordedOptions:
    """Options of the text encoder `reworded`."""

    chat: Slot = component("chat_model", Slot("openai"), help="who writes the prompts anew")
    encoder: Slot = component("text_encoder", Slot("clip"), help="who reads what was written")
    instruction: str = option(COMPLEX, help="what the chat model is asked; {prompt} is replaced", check=_holds_prompt)
    max_tokens: int = option(120, help="longest reply", check=positive)
    batch_size: int = option(32, help="prompts per call", changes_results=False, check=positive)


@attrs.frozen
class SurOptions(TrainingOptions):
    """Options of the trainer `sur_adapter`; the defaults are the paper's (run.sh of its code), but for the corrections.

    `targets`, `rank`, `alpha`, `init` are of the LoRA that can learn beside the adapter; rank 0 = none.
    """

    # the steps, as the paper's code has them
    batch_size: int = option(1, help="samples per forward pass", check=positive)
    accumulation: int = option(4, help="forward passes per optimizer step", check=positive)
    lr: float = option(1e-5, help="learning rate", check=positive)
    text_encoder: Slot = component("text_encoder", Slot("sur_adapter"), help="the one that learns; its own options")
    # the network
    eta: float = option(0.1, help="how much of the adapter there is; a constant, kept in the card", check=between(0, 1))
    residual: Literal["additive", "convex"] = option(
        "additive", help="additive: x + eta l, starts as the base; convex: eta l + (1 - eta) x, as in the paper"
    )
    depth: int = option(2, help="transformer layers of the adapter", check=positive)
    heads: int = option(8, help="attention heads of these layers", check=positive)
    mask_padding: bool = option(False, help="padding is neither looked at, adapted nor taught")
    # the three losses
    diffusion_weight: float = option(1.0, help="of the diffusion loss; 0 = not computed", check=at_least(0))
    prompt_weight: float = option(1e-5, help="of the distance to the complex prompt's embedding", check=at_least(0))
    llm_weight: float = option(1e-5, help="of the distance to the teacher's vector", check=at_least(0))
    keep_weight: float = option(
        0.0,
        help="of the change to prompts that pairs tell alike twice: they need no adapter",
        check=at_least(0),
        added=True,
    )
    prompt_target: Literal["out", "l"] = option(
        "out",
        help="what is like the complex prompt: what the denoiser sees, or the adapter's own part (before 2023-11)",
    )
    kind: Literal["kl", "cosine", "mse"] = option("kl", help="of both distances; kl is over the features, as released")
    direction: Literal["student_teacher", "teacher_student"] = option(
        "student_teacher", help="of kl: KL(student || teacher), as released, or the other way round"
    )
    normalise: Literal["sum", "mean"] = option("sum", help="over the tokens: sum, as released, or mean")
    # the teacher
    teacher: str = entry("models", "", help="causal language model, by name, folder or GGUF file; empty = none")
    teacher_layer: int = option(-1, help="block whose output is read, from 0, or from the end if negative")
    teacher_pool: Literal["mean", "last"] = option("mean", help="over the tokens of a prompt")
    teacher_drop_bos: bool = option(False, help="leave the mark of the beginning out of the mean")
    standardise: bool = option(False, help="each dimension of the teacher to mean 0, deviation 1 over the prompts")
    drop_dims: list[int] = option([], help="dimensions of the teacher that are left out")
    projection: Literal["learned", "random"] = option(
        "learned", help="from the teacher's width to the encoder's: learnt and kept, or random and fixed, as released"
    )
    projection_seed: int | None = option(None, help="of the projection's start; null = the run's")
    # the LoRA beside it
    rank: int = option(0, help="of a LoRA on the denoiser that learns too; 0 = none", check=at_least(0))
    alpha: float | None = option(None, help="of the LoRA: scale times rank; null = the rank")
    init: Literal["gaussian", "kaiming"] = option("gaussian", help="of the LoRA's A")
    released: bool = option(
        False,
        help="as the released code: attention over the batch, a bias that starts unlike 0, convex, random projection, "
        "no gradient from the diffusion loss",
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.llm_weight and not self.teacher:
            raise ValueError("llm_weight: there is no teacher to be like; name one in 'teacher', or set llm_weight: 0")
        # keep_weight alone teaches nothing: an adapter starts by leaving everything as it is
        if not (self.llm_weight or self.prompt_weight or (self.diffusion_weight and not self.released)):
            raise ValueError("all loss weights are 0: nothing would be learnt; raise one of them")

    def lora(self) -> LoraOptions | None:
        """The options of the LoRA beside the adapter, None when there is none."""
        if not self.rank:
            return None
        return LoraOptions(model=self.model, targets=self.targets, rank=self.rank, alpha=self.alpha, init=self.init)

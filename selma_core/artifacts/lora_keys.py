"""The names of LoRA tensors in the forms that trainers write, and what each one means. Pure text, no torch.

Read: PEFT-native (`unet.<path>.lora_A.weight`), the same with an adapter name (`lora_A.default.weight`) or a PEFT
prefix (`base_model.model.`), diffusers (`<path>.lora.down.weight`, `<path>.lora_linear_layer.down.weight`) and old
diffusers (`attn1.processor.to_q_lora.down.weight`), with `<path>.alpha` where the trainer stored one.
"""

from __future__ import annotations

import re
from typing import Literal

import attrs

from selma_core.errors import ArtifactError

COMPONENTS = ("unet", "transformer", "text_encoder", "text_encoder_2", "text_encoder_3")
Part = Literal["down", "up", "alpha"]

_FORMS: tuple[tuple[re.Pattern[str], dict[str, Part]], ...] = (
    (re.compile(r"^(?P<path>.+)\.lora_(?P<part>[AB])(?:\.\w+)?\.weight$"), {"A": "down", "B": "up"}),
    (re.compile(r"^(?P<path>.+)\.lora(?:_linear_layer)?\.(?P<part>down|up)\.weight$"), {"down": "down", "up": "up"}),
    (re.compile(r"^(?P<path>.+_lora)\.(?P<part>down|up)\.weight$"), {"down": "down", "up": "up"}),
    (re.compile(r"^(?P<path>.+)\.(?P<part>alpha)$"), {"alpha": "alpha"}),
)
# Formats whose delta is not up @ down: reading them as plain LoRA would silently change the model.
_REFUSED = (
    (re.compile(r"\.dora_scale$|lora_magnitude_vector"), "DoRA"),
    (re.compile(r"\.hada_(w|t)\d"), "LoHa"),
    (re.compile(r"\.lokr_(w|t)\d"), "LoKr"),
    (re.compile(r"\.oft_(blocks|diag|R)|\.oft_"), "OFT"),
    (re.compile(r"\.lora_B(\.\w+)?\.bias$|\.lora_(up|down)\.bias$|\.bias$"), "a LoRA with bias"),
)


@attrs.frozen
class TensorName:
    """One tensor of a LoRA file.

    Attributes:
        layer: module path with its component (`unet.mid_block...to_q`).
        part: `down` is A, `up` is B, `alpha` the stored scale.
    """

    layer: str
    part: Part


def parse_name(name: str, file: str) -> TensorName:
    """What the tensor `name` of `file` stands for.

    Raises:
        ArtifactError: for other adapter formats and unknown names; the message holds the tensor's name.
    """
    for pattern, what in _REFUSED:
        if pattern.search(name):
            raise ArtifactError(f"{file}: tensor '{name}' belongs to {what}; only plain LoRA (B A) can be read")
    if name.startswith(("lora_unet_", "lora_te")):
        raise ArtifactError(f"{file}: tensor '{name}' is in kohya form; convert the file to the diffusers form first")
    for pattern, parts in _FORMS:
        found = pattern.match(name)
        if found:
            return TensorName(_layer(found["path"]), parts[found["part"]])
    raise ArtifactError(f"{file}: tensor '{name}' is not part of a LoRA")


def _layer(path: str) -> str:
    """A module path in the one form used here: component first, no wrapper, no old processor names."""
    path = path.removeprefix("base_model.model.")
    if path.endswith("_lora"):  # old diffusers: `attn1.processor.to_out_lora`
        path = path.removesuffix("_lora").replace(".processor.", ".")
        path = path + ".0" if path.endswith("to_out") else path
    return path if path.split(".", 1)[0] in COMPONENTS else f"unet.{path}"

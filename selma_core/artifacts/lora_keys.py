"""The names of LoRA tensors in the forms that programs write, and what each one means. Pure text, no torch.

- `native`: `unet.<path>.lora_A.weight`, also with `base_model.model.` before or an adapter's name (`lora_A.default`);
- `diffusers`: `unet.<path>.lora.down.weight`, `<path>.lora_linear_layer.down.weight`, `attn1.processor.to_q_lora.down`;
- `kohya`: `lora_unet_<flat path>.lora_down.weight`, `lora_te_`, `lora_te1_`, `lora_te2_`, blocks in both spellings;
- `comfyui`: `diffusion_model.<original path>.lora_A.weight` or `.lora_down`, `text_encoders.clip_l.transformer.<path>`.

Any of them may have `<path>.alpha`. All are read as one: `unet.<diffusers path>`, `text_encoder.text_model...`.
"""

from __future__ import annotations

import re
from typing import Literal

import attrs

from selma_core.artifacts.lora_names import is_text, unet_path, unflat
from selma_core.errors import ArtifactError

COMPONENTS = ("unet", "transformer", "text_encoder", "text_encoder_2", "text_encoder_3")
Part = Literal["down", "up", "alpha"]
Form = Literal["native", "diffusers", "kohya", "comfyui"]

_PARTS: dict[str, Part] = {"A": "down", "B": "up", "down": "down", "up": "up", "alpha": "alpha"}
# The end of a name, and the form that it belongs to where the path is a dotted one; None: it says nothing.
_ENDS: tuple[tuple[re.Pattern[str], Form | None], ...] = (
    (re.compile(r"^(?P<path>.+)\.lora_(?P<part>[AB])(?:\.\w+)?\.weight$"), "native"),
    (re.compile(r"^(?P<path>.+)\.lora(?:_linear_layer)?\.(?P<part>down|up)\.weight$"), "diffusers"),
    (re.compile(r"^(?P<path>.+_lora)\.(?P<part>down|up)\.weight$"), "diffusers"),
    (re.compile(r"^(?P<path>.+)\.lora_(?P<part>down|up)\.weight$"), "kohya"),
    (re.compile(r"^(?P<path>.+)\.(?P<part>alpha)$"), None),
)
# Formats whose delta is not up @ down: reading them as plain LoRA would silently change the model.
_REFUSED = (
    (re.compile(r"\.dora_scale$|lora_magnitude_vector"), "DoRA"),
    (re.compile(r"\.hada_(w|t)\d"), "LoHa"),
    (re.compile(r"\.lokr_(w|t)\d"), "LoKr"),
    (re.compile(r"\.oft_(blocks|diag|R)|\.oft_"), "OFT"),
    (re.compile(r"\.lora_diag\b"), "KaSA"),
    (re.compile(r"\.lora_mid\."), "a LoRA with a core tensor (LoCon in Tucker form)"),
    (re.compile(r"\.lora_embedding_[AB]"), "a LoRA of an embedding"),
    (re.compile(r"\.(diff|diff_b|w_norm|b_norm|set_weight)$"), "a full difference of weights"),
    (re.compile(r"\.lora_B(\.\w+)?\.bias$|\.lora_(up|down)\.bias$|\.bias$"), "a LoRA with bias"),
)
_FLAT = {"lora_unet_": "unet", "lora_te_": "text_encoder", "lora_te1_": "text_encoder", "lora_te2_": "text_encoder_2"}
_CLIPS = {"clip_l": "text_encoder", "clip_h": "text_encoder", "clip_g": "text_encoder_2"}
_OLD_TEXT = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}


@attrs.frozen
class TensorName:
    """One tensor of a LoRA file.

    Attributes:
        layer: module path with its component (`unet.mid_block...to_q`).
        part: `down` is A, `up` is B, `alpha` the stored scale.
        form: of the name; None where several forms have such names (`unet.<path>.alpha`).
    """

    layer: str
    part: Part
    form: Form | None = None


def parse_name(name: str, file: str) -> TensorName:
    """What the tensor `name` of `file` stands for.

    Raises:
        ArtifactError: for other adapter formats and unknown names; the message holds the tensor's name.
    """
    for pattern, what in _REFUSED:
        if pattern.search(name):
            raise ArtifactError(f"{file}: tensor '{name}' belongs to {what}; only plain LoRA (B A) can be read")
    for pattern, form in _ENDS:
        found = pattern.match(name)
        if found:
            layer, own = _layer(found["path"], f"{file}: tensor '{name}'")
            if own is None and form == "kohya":
                break  # kohya's ending below a dotted path: no program is known to write it
            return TensorName(layer, _PARTS[found["part"]], own or form)
    raise ArtifactError(f"{file}: tensor '{name}' is not part of a LoRA")


def _layer(path: str, where: str) -> tuple[str, Form | None]:
    """A module path in the one form used here: component first, no wrapper; and the form if the path shows it."""
    if path.startswith(("lora_", "lycoris_")) and "." not in path:
        return _kohya(path, where), "kohya"
    path = path.removeprefix("model.") if path.startswith("model.diffusion_model.") else path
    if path.startswith(("diffusion_model.", "text_encoders.")):
        return _comfyui(path, where), "comfyui"
    return _native(path), None


def _kohya(path: str, where: str) -> str:
    prefix = next((prefix for prefix in _FLAT if path.startswith(prefix)), None)
    if prefix is None:
        raise ArtifactError(f"{where} is in kohya form, but of none of {', '.join(_FLAT)}: only SD 1, 2, XL are known")
    return _known(_FLAT[prefix], unflat(path.removeprefix(prefix)), where)


def _comfyui(path: str, where: str) -> str:
    if path.startswith("diffusion_model."):
        return _known("unet", path.removeprefix("diffusion_model."), where)
    _, clip, *rest = path.split(".")
    inner = ".".join(rest[1:] if rest[:1] == ["transformer"] else rest)
    if clip not in _CLIPS:
        raise ArtifactError(f"{where} is of the text encoder '{clip}'; known: {', '.join(_CLIPS)}")
    return _known(_CLIPS[clip], inner, where)


def _known(component: str, path: str, where: str) -> str:
    found = unet_path(path) if component == "unet" else (path if is_text(path) else None)
    if found is None:
        raise ArtifactError(f"{where} names '{path}', which is not part of a LoRA for SD 1, 2 or XL")
    return f"{component}.{found}"


def _native(path: str) -> str:
    path = path.removeprefix("base_model.model.")
    component, _, inner = path.partition(".")
    if component not in COMPONENTS:
        component, inner = ("text_encoder" if path.startswith(("text_model.", "encoder.layers.")) else "unet"), path
    text = component.startswith("text_encoder")
    if inner.endswith("_lora"):
        inner = _old(inner.removesuffix("_lora"), text)
    # transformers 5.6 dropped `text_model.` from CLIPTextModel; diffusers takes it away again where it is not needed.
    return f"{component}.text_model.{inner}" if text and inner.startswith("encoder.layers.") else f"{component}.{inner}"


def _old(path: str, text: bool) -> str:
    """Names of old attention processors: `attn1.processor.to_out_lora`, `self_attn.to_out_lora`."""
    path = path.replace(".processor.", ".")
    head, _, last = path.rpartition(".")
    if text and last in _OLD_TEXT:
        return f"{head}.{_OLD_TEXT[last]}"
    return f"{path}.0" if last == "to_out" else path

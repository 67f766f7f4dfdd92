"""The names that other programs give to the layers of a LoRA. Pure text, no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from selma_core.artifacts.lora_family import Family
from selma_core.artifacts.lora_names import flat, is_text, is_unet, to_original
from selma_core.errors import UserError

Spell = Callable[[str, str], str | None]
_CLIPS: dict[Family | None, str] = {"sd1": "clip_l", "sd2": "clip_h", "sdxl": "clip_l", None: "clip_l"}


def kohya_names(layers: Iterable[str], family: Family | None) -> dict[str, str]:
    """Layer -> `lora_unet_...`: diffusers' blocks for SD 1 and 2, the original ones for SDXL, as kohya's trainers do.

    Raises:
        UserError: a layer without such a name.
    """
    known = list(layers)
    text = {"text_encoder": "lora_te1_" if family == "sdxl" else "lora_te_", "text_encoder_2": "lora_te2_"}

    def spell(component: str, path: str) -> str | None:
        if component == "unet":
            inner = _original(path, known, family) if family == "sdxl" else path
            return None if inner is None else f"lora_unet_{flat(inner)}"
        return f"{text[component]}{flat(path)}"

    return _names(known, spell, "kohya")


def comfyui_names(layers: Iterable[str], family: Family | None) -> dict[str, str]:
    """Layer -> `diffusion_model.input_blocks...`, `text_encoders.clip_l.transformer.text_model...`.

    Raises:
        UserError: a layer without such a name.
    """
    known = list(layers)
    clips = {"text_encoder": _CLIPS[family], "text_encoder_2": "clip_g"}

    def spell(component: str, path: str) -> str | None:
        if component != "unet":
            return f"text_encoders.{clips[component]}.transformer.{path}"
        inner = _original(path, known, family)
        return None if inner is None else f"diffusion_model.{inner}"

    return _names(known, spell, "comfyui")


def peft_folders(layers: Iterable[str]) -> dict[str, dict[str, str]]:
    """Component -> layer -> the path of the module inside of the component, as PEFT needs it to the letter.

    CLIPTextModel has no `text_model.` since transformers 5.6; CLIPTextModelWithProjection (SDXL's second) still has.
    """
    found: dict[str, dict[str, str]] = {}
    for layer in layers:
        component, path = layer.split(".", 1)
        found.setdefault(component, {})[layer] = path
    first = found.get("text_encoder", {})
    if "text_encoder.text_projection" not in first:
        found |= {"text_encoder": {k: path.removeprefix("text_model.") for k, path in first.items()}} if first else {}
    return found


def _original(path: str, layers: Iterable[str], family: Family | None) -> str | None:
    attention = family == "sdxl" or any(layer.startswith("unet.up_blocks.0.attentions.") for layer in layers)
    if family is None and not attention and path == "up_blocks.0.upsamplers.0.conv":
        raise UserError(f"layer 'unet.{path}' is numbered differently in SD 1 and SDXL; say --family sd1, sd2 or sdxl")
    return to_original(path, attention_in_up_0=attention)


def _names(layers: Iterable[str], spell: Spell, form: str) -> dict[str, str]:
    names: dict[str, str] = {}
    for layer in layers:
        component, path = layer.split(".", 1)
        known = is_unet(path) if component == "unet" else component in _TEXTS and is_text(path)
        name = spell(component, path) if known else None
        if name is None:
            raise UserError(f"layer '{layer}' has no name in the {form} form; use: --to diffusers")
        names[layer] = name
    _unique(names, form)
    return names


_TEXTS = ("text_encoder", "text_encoder_2")


def _unique(names: Mapping[str, str], form: str) -> None:
    seen: dict[str, str] = {}
    for layer, name in names.items():
        if name in seen:
            raise UserError(
                f"layers '{seen[name]}' and '{layer}' have one name in the {form} form; use: --to diffusers"
            )
        seen[name] = layer

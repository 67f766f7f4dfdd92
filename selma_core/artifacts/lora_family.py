"""Which Stable Diffusion a LoRA is for, read from its header and its shapes. Pure text, no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from selma_core.artifacts.lora_reader import LayerReader

Family = Literal["sd1", "sd2", "sdxl"]
FAMILIES: tuple[Family, ...] = ("sd1", "sd2", "sdxl")

# The start of what kohya's `ss_base_model_version` and ModelSpec's `architecture` say.
_NAMES: tuple[tuple[str, Family], ...] = (
    ("sdxl", "sdxl"),
    ("stable-diffusion-xl", "sdxl"),
    ("sd_v2", "sd2"),
    ("stable-diffusion-v2", "sd2"),
    ("sd_v1", "sd1"),
    ("stable-diffusion-v1", "sd1"),
)
# The width of the text that the UNet attends to.
_WIDTHS: dict[int, Family] = {768: "sd1", 1024: "sd2", 2048: "sdxl"}
_CROSS = re.compile(r"^unet\..*\.attn2\.to_[kv]$")
_ONLY_XL = re.compile(r"^text_encoder_2\.|^unet\.add_embedding\.|\.transformer_blocks\.[1-9]")


def detect(reader: LayerReader) -> Family | None:
    """The family of a LoRA; None when neither header nor shapes say it (a small model, few layers)."""
    names = reader.names()
    if not names or any(not name.startswith(("unet.", "text_encoder.", "text_encoder_2.")) for name in names):
        return None
    return _said(reader.metadata) or _shaped(reader, names)


def _said(metadata: Mapping[str, str]) -> Family | None:
    for field in ("ss_base_model_version", "modelspec.architecture"):
        for start, family in _NAMES:
            if metadata.get(field, "").lower().startswith(start):
                return family
    return None


def _shaped(reader: LayerReader, names: Iterable[str]) -> Family | None:
    for name in names:
        if _CROSS.match(name) and reader.info(name).down[1] in _WIDTHS:
            return _WIDTHS[reader.info(name).down[1]]
    return "sdxl" if any(_ONLY_XL.search(name) for name in names) else None

"""Options of the bundled image generators."""

from __future__ import annotations

import re
from typing import Any, Literal

import attrs

from selma_core.options import Slot, at_least, component, entry, option, positive

_CLASS = re.compile(r"^([A-Z]\w*Scheduler)?$")


def scheduler_name(instance: Any, field: attrs.Attribute[Any], value: str) -> None:
    """attrs validator: the name of a diffusers scheduler class, or empty."""
    if not _CLASS.match(value):
        raise ValueError(f"must be the name of a diffusers scheduler class such as DDIMScheduler, not {value!r}")


@attrs.frozen
class ImageFolderOptions:
    """Options of `image_folder`."""

    folder: str = entry("folders", help="folder of images; pinned by its content")
    k: int = option(1, help="images that each prompt should have; fewer are reported", check=at_least(1))


@attrs.frozen
class DiffusersOptions:
    """Options of `diffusers`."""

    model: str = entry("models", help="registry name, folder of a diffusers pipeline, or hub:owner/name@commit")
    k: int = option(1, help="images per prompt", check=positive)
    steps: int = option(50, help="denoising steps", check=positive)
    guidance: float | None = option(None, help="guidance scale; null = the pipeline's own default")
    negative_prompt: str = option("", help="what not to draw; empty = unconditional")
    scheduler: str = option("", help="diffusers class name; empty = the model's own", check=scheduler_name)
    scheduler_options: dict[str, Any] = option({}, help="options of the scheduler's class")
    height: int | None = option(None, help="pixels; null = the model's own size")
    width: int | None = option(None, help="pixels; null = the model's own size")
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = option(
        "auto", help="float32, float16, bfloat16; auto = float32 on CPU, half precision on a GPU"
    )
    adapter_mode: Literal["fused", "unfused"] = option(
        "fused", help="fused into the weights, or unfused as PEFT layers"
    )
    adapter_scale: float = option(1.0, help="factor on the adapter's delta")
    adapter_weights: list[float] | None = option(
        None, help="one per adapter at the port `adapters`, served side by side, unmerged; null = 1/T each"
    )
    text_encoder: Slot = component(
        "text_encoder", Slot(), help="who embeds the prompts; default: the adapter's own, else clip"
    )
    call_options: dict[str, Any] = option({}, help="further arguments of the pipeline's call (eta, guidance_rescale)")
    lanes: int = option(8, help="images the network sees at once on a CPU, always exactly so many", check=positive)
    batch_size: int = option(8, help="images per call on a GPU", changes_results=False, check=at_least(1))
    compile: bool = option(False, help="torch.compile the denoiser's blocks (GPU)", changes_results=False)
    cpu_offload: bool = option(False, help="keep idle components in main memory (GPU)", changes_results=False)

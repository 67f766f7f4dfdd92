"""Loading a diffusers pipeline from a folder: checked first, safetensors only, no remote code, no safety checker."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from safetensors import SafetensorError
from torch import nn

from selma_core.data import Entry
from selma_core.errors import ModelError, UserError, did_you_mean
from selma_plugins.diffusion.folder import absent, check_folder, components, variant

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def model_folder(entry: Entry) -> Path:
    """The folder of a registry model.

    Raises:
        ModelError: when its files are not on this machine.
    """
    if entry.path is None:
        raise ModelError(f"model '{entry.name}' is not on this machine: run `selma models fetch {entry.name}`")
    return entry.path


def load_pipeline(folder: Path, dtype: torch.dtype, parts: Mapping[str, Any] | None = None) -> Any:
    """Loads a text-to-image pipeline of any class that diffusers knows, on the CPU, in evaluation mode.

    The safety checker is left out: it blackens images without a word, and those would be trained on or scored.

    Args:
        folder: in diffusers' own format. dtype: of all weights. parts: components given instead of loaded ones.

    Raises:
        ModelError: one line for a missing, truncated or unloadable component.
    """
    index = check_folder(folder)
    given: dict[str, Any] = {**dict.fromkeys(absent(index)), **(parts or {})}
    if "safety_checker" in index:
        given |= {"safety_checker": None, "requires_safety_checker": False}
    try:
        with without_bars():
            pipeline = diffusers.DiffusionPipeline.from_pretrained(
                folder,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                variant=variant(folder),
                low_cpu_mem_usage=True,
                **given,
            )
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{folder} cannot be loaded by diffusers: {first_line(error)}") from error
    pipeline.set_progress_bar_config(disable=True)
    for name in components(index):
        module = getattr(pipeline, name, None)
        if isinstance(module, nn.Module):
            module.requires_grad_(False).eval()
    return pipeline


@contextmanager
def without_bars() -> Iterator[None]:
    """Without the libraries' bars for loading inside the block, which would break into ours."""
    every = (diffusers.utils.logging, transformers.utils.logging)
    for logging in every:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        for logging in every:
            logging.enable_progress_bar()


def denoiser_name(pipeline: Any) -> str:
    """`unet` or `transformer`: the component that LoRA goes to, and the prefix of its keys.

    Raises:
        UserError: when the pipeline has neither.
    """
    for name in ("unet", "transformer"):
        if isinstance(getattr(pipeline, name, None), nn.Module):
            return name
    raise UserError(f"{type(pipeline).__name__} has neither a unet nor a transformer")


def pick_dtype(name: str, device: str, *, transformer: bool = False) -> torch.dtype:
    """The type an option names; `auto` is fp32 on CPU, else fp16 for UNets and bf16 for transformers."""
    if name != "auto":
        return DTYPES[name]
    if not device.startswith("cuda"):
        return torch.float32
    return torch.bfloat16 if transformer and torch.cuda.is_bf16_supported() else torch.float16


def swap_scheduler(pipeline: Any, name: str, options: Mapping[str, Any]) -> None:
    """Replaces the scheduler by one of diffusers' classes, configured from the old one and `options`.

    Raises:
        UserError: for an unknown class or option, with the nearest right name.
    """
    if not name and not options:
        return
    names = [key for key in dir(diffusers) if key.endswith("Scheduler")]
    if name and name not in names:
        raise UserError(f"scheduler '{name}' is unknown: {did_you_mean(name, names)}")
    kind = getattr(diffusers, name) if name else type(pipeline.scheduler)
    known = [key for key in inspect.signature(kind.__init__).parameters if key != "self"]
    for key in options:
        if key not in known:
            raise UserError(f"{kind.__name__} has no option '{key}': {did_you_mean(key, known)}")
    pipeline.scheduler = kind.from_config(pipeline.scheduler.config, **options)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, for a one-line message."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)

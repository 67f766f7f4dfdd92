"""Loads vision-language models with their processors: safetensors only, no remote code, nothing left random."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import torch
import transformers
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

from selma_core.errors import ModelError
from selma_plugins.judges.first_token import FirstToken

_LOCAL: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}


@attrs.frozen(kw_only=True)
class Loaded:
    """What judges share. Attributes: model = in evaluation mode, on its device; first = of the tokenizer."""

    model: Any
    processor: Any
    first: FirstToken

    @property
    def tokenizer(self) -> Any:
        """Of the text."""
        return self.processor.tokenizer


def load(folder: Path, model_class: str, types: tuple[str, ...], dtype: str, device: str) -> Loaded:
    """A model and its processor.

    Args:
        model_class: name in `transformers`. types: the `model_type`s it may be; empty for any.
        dtype: `auto` is float32 on a CPU and the checkpoint's own elsewhere.

    Raises:
        ModelError: a folder that holds no such model, pickled weights, missing tensors; one line.
    """
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **_LOCAL)
        if types and config.model_type not in types:
            raise ModelError(f"{folder} holds a model of type '{config.model_type}'; {' or '.join(types)} is wanted")
        processor = load_processor(folder, config)
        model = load_weights(folder, model_class, dtype, device)
    except (OSError, ValueError, KeyError, ImportError, AttributeError) as error:
        lines = str(error).strip().splitlines()
        line = lines[0] if lines else type(error).__name__
        raise ModelError(f"cannot read the vision-language model in {folder}: {line}") from error
    return Loaded(model=model.to(device).eval(), processor=processor, first=FirstToken(processor.tokenizer))


def load_weights(folder: Path, model_class: str, dtype: str, device: str) -> Any:
    """A model of a class of `transformers`, on the CPU.

    Raises:
        ModelError: tensors are missing. What transformers raises for other faults.
    """
    model, report = getattr(transformers, model_class).from_pretrained(
        folder, dtype=_dtype(dtype, device), use_safetensors=True, output_loading_info=True, **_LOCAL
    )
    missing = sorted(report["missing_keys"])
    if missing:  # transformers would go on with random numbers
        raise ModelError(f"{folder} lacks {len(missing)} tensors of a {type(model).__name__}, first: {missing[0]}")
    return model


def _dtype(name: str, device: str) -> Any:
    if name != "auto":
        return getattr(torch, name)
    return torch.float32 if device == "cpu" else "auto"


def load_processor(folder: Path, config: Any) -> Any:
    """The processor, its image part computed by Pillow, so that an installed torchvision changes no pixel.

    Processors of models that also watch videos want torchvision for that part; without it they are built without it.
    """
    try:
        processor = transformers.AutoProcessor.from_pretrained(folder, **_LOCAL)
    except ImportError:
        processor = _without_video(folder, config)
    processor.image_processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil", **_LOCAL)
    return processor


def _without_video(folder: Path, config: Any) -> Any:
    base = getattr(transformers, PROCESSOR_MAPPING_NAMES[config.model_type])

    def check(self: Any, name: str, part: Any) -> Any:
        return None if name == "video_processor" else base.check_argument_for_proper_class(self, name, part)

    stills: Any = type(base.__name__, (base,), {"check_argument_for_proper_class": check})
    parts = {"tokenizer": transformers.AutoTokenizer, "image_processor": transformers.AutoImageProcessor}
    values = [
        None if name == "video_processor" else parts[name].from_pretrained(folder, **_LOCAL)
        for name in base.get_attributes()
    ]
    fields, _ = base.get_processor_dict(folder, **_LOCAL)
    return stills.from_args_and_dict(values, fields)

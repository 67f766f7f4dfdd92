"""Fusing a LoRA into a pipeline's folder: W + weight * B A, file by file, no model is ever built.

What is written is a folder of its own that `DiffusionPipeline.from_pretrained` opens, equal to `load_lora_weights` and
`fuse_lora` (computed in fp32, rounded once).
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from selma_core.adapters.weights import NAMES, rewrite
from selma_core.artifacts.lora_reader import LayerReader, read_layers
from selma_core.artifacts.tensor_reader import Entry, TensorReader
from selma_core.errors import ArtifactError, ModelError, UserError, did_you_mean
from selma_core.files import make_folder, sha256_file, write_json, writing

if TYPE_CHECKING:
    import torch

CARD = "selma_fused.json"
# Weights in other formats would be the unfused ones, and pickled ones are never loaded.
_OTHER_WEIGHTS = {".bin", ".ckpt", ".pt", ".pth", ".msgpack", ".h5", ".onnx", ".pb", ".xml"}


@attrs.frozen(kw_only=True)
class _Plan:
    """Attributes: files = the safetensors files of the copy; layers = file -> tensor -> layer of the adapter."""

    files: list[TensorReader]
    layers: dict[Path, dict[str, str]]


def fuse_folder(
    adapter: Path,
    model: Path,
    out: Path,
    *,
    weight: float = 1.0,
    dtype: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Writes a pipeline's folder with a LoRA in its weights.

    Args:
        adapter: what `read_layers` takes. model: a folder in diffusers' format. out: a new folder.
        weight: of the delta. dtype: of all weights (float32, float16, bfloat16); None keeps each in its own.
        progress: called with (layers done, layers in all).

    Returns:
        The card that is written as `selma_fused.json`: adapter by hash, weight, model, layers per component.

    Raises:
        ArtifactError: no plain LoRA, or one for another model (the message names the layer).
        ModelError: no pipeline folder, or without safetensors weights. UserError: a bad weight, type or folder.
    """
    _check(model, out, weight, dtype)
    reader = read_layers(adapter)
    plan = _plan(reader, model)
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    make_folder(part)
    try:
        _copy_rest(model, part)
        _write(reader, plan, model, part, weight, dtype, progress)
        card = _card(reader, model, weight, dtype)
        write_json(part / CARD, card)
        with writing(out):
            if out.is_dir():
                out.rmdir()
            part.replace(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return card


def _check(model: Path, out: Path, weight: float, dtype: str | None) -> None:
    if dtype is not None and dtype not in NAMES:
        raise UserError(f"unknown dtype '{dtype}'; {did_you_mean(dtype, NAMES)}")
    if not math.isfinite(weight):
        raise UserError(f"weight {weight}: give a finite number")
    if not (model / "model_index.json").is_file():
        raise ModelError(f"{model} is no diffusers pipeline: it has no model_index.json")
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise UserError(f"{out}: is not empty; give --out a new folder")
    if out.resolve().is_relative_to(model.resolve()):
        raise UserError(f"{out}: is inside of the model's own folder; give --out another one")


def _plan(reader: LayerReader, model: Path) -> _Plan:
    """Finds the weight of every layer before anything is written."""
    files = [TensorReader(path) for path in sorted(model.glob("*/*.safetensors"))]
    layers: dict[Path, dict[str, str]] = {}
    for layer in reader.names():
        component, path = layer.split(".", 1)
        own = [file for file in files if file.path.parent.name == component]
        if not own:
            raise ModelError(f"{model}: has no safetensors weights of '{component}', which layer '{layer}' is for")
        found = [(file, key) for file in own for key in _keys(component, path) if key in file.entries]
        if not found:
            raise ArtifactError(f"{reader.file}: the model has no layer '{layer}'; the adapter is for another model")
        for file, key in found:  # several, where a folder holds its weights in fp16 too
            _check_shape(reader, layer, file.entries[key])
            layers.setdefault(file.path, {})[key] = layer
    return _Plan(files=files, layers=layers)


def _keys(component: str, path: str) -> Iterator[str]:
    """The names that a layer's weight can have on disk: CLIPTextModel lost its `text_model.` in transformers 5.6."""
    yield f"{path}.weight"
    if component.startswith("text_encoder") and path.startswith("text_model."):
        yield f"{path.removeprefix('text_model.')}.weight"


def _check_shape(reader: LayerReader, layer: str, weight: Entry) -> None:
    info = reader.info(layer)
    own = [info.up[0], *info.down[1:]]
    if math.prod(own) != math.prod(weight.shape) or own[0] != weight.shape[0]:
        raise ArtifactError(
            f"{reader.file}: layer '{layer}' is {own} but the model's is {list(weight.shape)}: another model?"
        )


def _copy_rest(model: Path, out: Path) -> None:
    """All but weights: those of components are rewritten, single-file checkpoints beside them would be unfused."""
    for path in sorted(model.rglob("*")):
        inside = path.relative_to(model)
        hidden = any(name.startswith(".") for name in inside.parts)
        if path.is_file() and not hidden and path.suffix not in {".safetensors", *_OTHER_WEIGHTS}:
            make_folder((out / inside).parent)
            with writing(out / inside):
                shutil.copyfile(path, out / inside)


def _write(
    reader: LayerReader,
    plan: _Plan,
    model: Path,
    out: Path,
    weight: float,
    dtype: str | None,
    progress: Callable[[int, int], None],
) -> None:
    total, done = sum(map(len, plan.layers.values())), 0

    for file in plan.files:
        layers = plan.layers.get(file.path, {})

        def added(key: str, layers: dict[str, str] = layers, file: TensorReader = file) -> torch.Tensor | None:
            nonlocal done
            if key not in layers:
                return None
            progress(done := done + 1, total)
            found = reader.factors(layers[key])
            return weight * (found.up.flatten(1) @ found.down.flatten(1)).reshape(file.entries[key].shape)

        target = out / file.path.relative_to(model)
        make_folder(target.parent)
        rewrite(file, target, added, dtype)


def _card(reader: LayerReader, model: Path, weight: float, dtype: str | None) -> dict[str, Any]:
    names = reader.names()
    components = sorted({name.split(".", 1)[0] for name in names})
    return {
        "adapter": str(reader.file),
        "sha256": [sha256_file(file) for file in reader.files],
        "model": str(model),
        "weight": weight,
        "dtype": dtype,
        "layers": {component: sum(name.startswith(f"{component}.") for name in names) for component in components},
    }

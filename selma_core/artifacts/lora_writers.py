"""Writers of a LoRA in the forms of other programs, streamed: one layer in memory at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from selma_core.artifacts.adapter import AdapterWriter
from selma_core.artifacts.lora_config import CONFIG_FILE, common_rank, minimal_fields
from selma_core.artifacts.lora_family import Family
from selma_core.artifacts.lora_manifest import KEY, kohya_header, modelspec
from selma_core.artifacts.lora_reader import LayerReader
from selma_core.artifacts.lora_sources import PEFT_WEIGHTS
from selma_core.artifacts.lora_spelling import comfyui_names, kohya_names, peft_folders
from selma_core.artifacts.tensor_reader import finite
from selma_core.artifacts.tensor_writer import TensorWriter
from selma_core.errors import ArtifactError
from selma_core.files import make_folder, write_json

if TYPE_CHECKING:
    import torch


@attrs.frozen(kw_only=True)
class ExportJob:
    """What a writer gets.

    Attributes:
        source: the LoRA. out: file, or folder for `peft-dir`. title: for readers. dtype: torch's name of the type.
        family: None where it is not known. manifest: of the export. progress: called once per layer.
    """

    source: LayerReader
    out: Path
    title: str
    dtype: str
    family: Family | None
    manifest: Mapping[str, Any]
    progress: Callable[[], None]

    def factors(self, layer: str, times: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
        """A and B of a layer in `dtype`, the scale (and `times`) folded into B."""
        import torch

        kind: torch.dtype = getattr(torch, self.dtype)
        found = self.source.factors(layer)
        self.progress()
        return found.down.to(kind), (found.up if times == 1.0 else found.up * times).to(kind)


class HashingWriter(TensorWriter):
    """A tensor writer that refuses NaN and infinity, and knows the hash of the tensors' bytes in the file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._hash = hashlib.sha256()

    def add(self, name: str, value: torch.Tensor) -> None:
        """Appends a tensor.

        Raises:
            ArtifactError: it holds NaN or infinity (too large for its type); the message names it.
        """
        import torch

        if not finite(value):
            raise ArtifactError(f"{self.path}: tensor '{name}' holds infinity in {value.dtype}; type: --dtype float32")
        data = value.detach().to("cpu").contiguous()
        self._hash.update(data.flatten().view(torch.uint8).numpy().data)
        super().add(name, data)

    def digest(self) -> str:
        """sha256 of the file without its header: A1111's `sshs_model_hash`, ModelSpec's `hash_sha256`."""
        return self._hash.hexdigest()


def write_diffusers(job: ExportJob) -> None:
    """The canonical form: native names, alpha folded in, the smallest LoraConfig in the header."""
    with AdapterWriter(job.out) as writer:
        for layer in job.source.names():
            down, up = job.factors(layer)
            writer.add(f"{layer}.lora_A.weight", down)
            writer.add(f"{layer}.lora_B.weight", up)
        writer.finish(job.manifest)


def write_kohya(job: ExportJob) -> None:
    """kohya's form: `.lora_down`, `.lora_up`, and a float `.alpha`, all layers the same.

    It is the rank that most layers have, so that their scale is 1; the B of others makes up for alpha / rank. One alpha
    of its own per rank would be as good to kohya's tools and ComfyUI, but diffusers 0.42 mixes such alphas up.
    """
    import torch

    names = kohya_names(job.source.names(), job.family)
    order = sorted(names, key=names.__getitem__)
    alpha = common_rank({layer: job.source.info(layer).rank for layer in order})
    with HashingWriter(job.out) as writer:
        for layer in order:  # first, since torch needs 4-byte numbers at multiples of 4 bytes
            writer.add(f"{names[layer]}.alpha", torch.tensor(float(alpha)))
        for layer in order:
            down, up = job.factors(layer, times=job.source.info(layer).rank / alpha)
            writer.add(f"{names[layer]}.lora_down.weight", down)
            writer.add(f"{names[layer]}.lora_up.weight", up)
        header = kohya_header(job.source, job.family, alpha) | {"sshs_model_hash": writer.digest()}
        writer.finish(header | _common(job, writer.digest()))


def write_comfyui(job: ExportJob) -> None:
    """ComfyUI's form: the original model's names, `.lora_A` and `.lora_B`; without alpha the scale is 1."""
    names = comfyui_names(job.source.names(), job.family)
    with HashingWriter(job.out) as writer:
        for layer in sorted(names, key=names.__getitem__):
            down, up = job.factors(layer)
            writer.add(f"{names[layer]}.lora_A.weight", down)
            writer.add(f"{names[layer]}.lora_B.weight", up)
        writer.finish(_common(job, writer.digest()))


def write_peft(job: ExportJob) -> None:
    """PEFT's form: a folder per component (`unet/`), for `PeftModel.from_pretrained(pipeline.unet, OUT/unet)`."""
    for component, paths in peft_folders(job.source.names()).items():
        folder = make_folder(job.out / component)
        with HashingWriter(folder / PEFT_WEIGHTS) as writer:
            for layer, path in paths.items():
                down, up = job.factors(layer)
                writer.add(f"base_model.model.{path}.lora_A.weight", down)
                writer.add(f"base_model.model.{path}.lora_B.weight", up)
            writer.finish({"format": "pt", KEY: _dump(job.manifest)})
        ranks = {path: job.source.info(layer).rank for layer, path in paths.items()}
        write_json(folder / CONFIG_FILE, _peft_config(ranks, str(job.manifest.get("base") or "") or None))


def _peft_config(ranks: Mapping[str, int], base: str | None) -> dict[str, Any]:
    shared = {"peft_type": "LORA", "task_type": None, "base_model_name_or_path": base, "inference_mode": True}
    return {**shared, "bias": "none", **minimal_fields(ranks)}


def _common(job: ExportJob, digest: str) -> dict[str, str]:
    spec = modelspec(job.source, job.manifest, job.family, job.title)
    return {"format": "pt", KEY: _dump(job.manifest), **spec, "modelspec.hash_sha256": f"0x{digest}"}


def _dump(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), allow_nan=False)

"""Exporting a LoRA of any form into another: streamed, read back, compared delta by delta before it counts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from selma_core.artifacts.adapter import write_side_files
from selma_core.artifacts.encoder import learnt_file, paired_encoder
from selma_core.artifacts.lora_check import TOLERANCE, check_equal
from selma_core.artifacts.lora_config import WEIGHTS
from selma_core.artifacts.lora_family import FAMILIES, Family, detect
from selma_core.artifacts.lora_manifest import export_manifest
from selma_core.artifacts.lora_reader import LayerReader, read_layers
from selma_core.artifacts.lora_writers import ExportJob, write_comfyui, write_diffusers, write_kohya, write_peft
from selma_core.errors import ArtifactError, UserError, did_you_mean
from selma_core.files import make_folder, writing

FORMS: dict[str, Callable[[ExportJob], None]] = {
    "diffusers": write_diffusers,
    "kohya": write_kohya,
    "comfyui": write_comfyui,
    "peft-dir": write_peft,
}
_SUFFIX = ".safetensors"


@attrs.frozen(kw_only=True)
class Export:
    """What was written.

    Attributes:
        path: the file or folder. form, dtype, family, layers: of it.
        max_error: the largest |D' - D| / |D| of a layer, from reading it back. manifest: what it says of itself.
    """

    path: Path
    form: str
    dtype: str
    family: Family | None
    layers: int
    max_error: float
    manifest: dict[str, Any]


def export_adapter(
    source: Path,
    out: Path,
    form: str,
    *,
    dtype: str = "float32",
    family: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Export:
    """Writes a LoRA in the form of another program.

    Args:
        source: what `read_layers` takes. out: a `.safetensors` file; `diffusers` can be a folder, `peft-dir` must.
        form: one of `FORMS`. dtype: of the factors: float32 (exact), float16, bfloat16.
        family: `sd1`, `sd2`, `sdxl`; None = what header and shapes say.
        progress: called with (steps done, steps in all); a layer is written and read back: two steps.

    Raises:
        UserError: unknown form, type or family; a layer that has no name in the form.
        ArtifactError: the source is no plain LoRA, or the copy is not the same adapter (then nothing is kept).
    """
    _check_choices(form, dtype, family)
    reader = read_layers(source)
    if not reader.names():
        raise UserError(f"{source}: holds no layers; nothing to convert")
    target = _target(reader, out, form)
    known: Family | None = next((one for one in FAMILIES if one == family), None) or detect(reader)
    manifest = export_manifest(reader, form, dtype, known)
    total, done = 2 * len(reader.names()), iter(range(1, len(reader.names()) + 1))
    job = ExportJob(
        source=reader,
        out=target.with_name(f".{target.name}.unchecked"),
        title=out.stem,
        dtype=dtype,
        family=known,
        manifest=manifest,
        progress=lambda: progress(next(done), total),
    )
    error = _write(job, form, target, lambda step: progress(total // 2 + step, total))
    if target != out:
        write_side_files(out, manifest)
    _bring_encoder(source, out)
    progress(total, total)
    return Export(
        path=out,
        form=form,
        dtype=dtype,
        family=known,
        layers=len(reader.names()),
        max_error=error,
        manifest=manifest,
    )


def _bring_encoder(source: Path, out: Path) -> None:
    """What the adapter's text encoder learnt goes where the copy's reader looks for it."""
    paired = paired_encoder(source)
    if paired is not None and paired.learnt is not None:
        target = learnt_file(read_layers(out).files[0])
        with writing(target):
            shutil.copyfile(paired.learnt, target)


def _check_choices(form: str, dtype: str, family: str | None) -> None:
    for what, value, known in (("form", form, FORMS), ("dtype", dtype, TOLERANCE), ("family", family, FAMILIES)):
        if value is not None and value not in known:
            raise UserError(f"unknown {what} '{value}'; {did_you_mean(value, known)}")


def _target(reader: LayerReader, out: Path, form: str) -> Path:
    """The file (or PEFT folder) to write, its folder made; nothing is overwritten that is being read."""
    folder = form == "peft-dir" or (form == "diffusers" and out.suffix != _SUFFIX)
    if folder and (out.is_file() or out.suffix == _SUFFIX):
        raise UserError(f"{out}: {form} is a folder; give --out a name without {_SUFFIX}")
    if not folder and (out.is_dir() or out.suffix != _SUFFIX):
        raise UserError(f"{out}: {form} is a {_SUFFIX} file; type: --out {out.with_suffix(_SUFFIX)}")
    if form == "peft-dir" and out.is_dir() and any(out.iterdir()):
        raise UserError(f"{out}: is not empty; give --out a new folder")
    target = out / WEIGHTS if folder and form == "diffusers" else out
    if any(file.resolve() == target.resolve() for file in reader.files):
        raise UserError(f"{target}: is what is being read; give --out another name")
    make_folder(target.parent)
    return target


def _write(job: ExportJob, form: str, target: Path, progress: Callable[[int], None]) -> float:
    """Writes, compares, and only then puts the result in place; returns the largest error of a layer."""
    _remove(job.out)
    try:
        FORMS[form](job)
        error = check_equal(job.source, read_layers(job.out), job.dtype, progress)
        with writing(target):
            if target.is_dir():
                target.rmdir()
            job.out.replace(target)
    except ArtifactError as problem:
        raise ArtifactError(str(problem).replace(str(job.out), str(target))) from None
    finally:
        _remove(job.out)
    return error


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)

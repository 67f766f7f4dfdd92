"""Merging LoRA files outside of any recipe: files and a strategy with its options -> one LoRA file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selma_core.artifacts.encoder import learnt_file
from selma_core.artifacts.lora_export import FORMS, export_adapter
from selma_core.artifacts.lora_manifest import read_manifest
from selma_core.artifacts.lora_reader import read_layers
from selma_core.config import bind_options
from selma_core.config.canonical import expanded_options
from selma_core.config.problems import COMMAND_LINE
from selma_core.errors import UserError, did_you_mean
from selma_core.files import make_folder, sha256_file
from selma_core.merging.files import MergePlan, merge_files

if TYPE_CHECKING:
    from selma_core.catalog import Catalog
    from selma_core.registry import Registry

DTYPES = ("float32", "float16", "bfloat16")


def merge_lora_files(
    files: Sequence[Path],
    strategy: str,
    options: Mapping[str, Any],
    out: Path,
    *,
    catalog: Catalog,
    registry: Registry,
    base: str | None = None,
    seed: int = 0,
    dtype: str = "float32",
    form: str = "diffusers",
    progress: Callable[[int, int], None] = lambda done, total: None,
    origin: str = COMMAND_LINE,
) -> dict[str, Any]:
    """Merges LoRA files without loading any base model, one layer at a time.

    Args:
        files: LoRA files or adapter folders. strategy: name of a merge strategy. options: as a recipe writes them.
        out: the safetensors file to write (a folder for `peft-dir`).
        base: id of the base model; None = what the files say. seed: of random masks. dtype: of the tensors written.
        form: `diffusers` (the canonical form), `kohya`, `comfyui` or `peft-dir`.
        progress: called with (layers done, layers in all). origin: who set the options, for errors.

    Returns:
        What the file's header says of the merge: base, parents by sha256, strategy, options, weights, ratios per layer.

    Raises:
        UserError: unknown strategy, wrong option, missing file, files that name different base models.
    """
    if dtype not in DTYPES:
        raise UserError(f"dtype must be one of {', '.join(DTYPES)}, not '{dtype}'")
    if form not in FORMS:
        raise UserError(f"unknown form '{form}'; {did_you_mean(form, FORMS)}")
    if form != "peft-dir" and out.suffix != ".safetensors":
        raise UserError(f"{out}: a LoRA file is written as .safetensors; type: --out {out.with_suffix('.safetensors')}")
    offer = catalog.find("merge_strategy", strategy)
    origins = {f"options.{name}": origin for name in options}
    bound = bind_options(offer, options, path="options", origins=origins, catalog=catalog, registry=registry)
    paths = [file.expanduser() for file in files]
    ids = [_identity(path) for path in paths]
    make_folder(out.parent)
    plan = MergePlan(
        strategy=catalog.build(offer, bound),
        files=paths,
        expert_ids=ids,
        base=_base(paths) if base is None else base,
        seed=seed,
        dtype=dtype,
        record={
            "strategy": offer.qualified,
            "options": expanded_options(offer, bound, catalog=catalog, registry=registry),
            "parent_files": [path.name for path in paths],
            "seed": seed,
        },
    )
    if form == "diffusers":
        return merge_files(plan, out, progress)
    whole = out.with_name(f".{out.stem}.merged.safetensors")
    try:
        card = merge_files(plan, whole, progress)
        export_adapter(whole, out, form, dtype=dtype, progress=progress)
    finally:
        whole.unlink(missing_ok=True)
        learnt_file(whole).unlink(missing_ok=True)
    return card


def _identity(path: Path) -> str:
    """sha256 of an adapter's content: of its file, or of the hashes of its files."""
    hashes = [sha256_file(file) for file in read_layers(path).files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def _base(files: Sequence[Path]) -> str:
    """The base model that the files name, "" if none does.

    Raises:
        UserError: when two files name different ones.
    """
    named: dict[str, Path] = {}
    for file in files:
        found = read_manifest(read_layers(file).metadata).get("base")
        if isinstance(found, str) and found:
            named.setdefault(found, file)
    if len(named) > 1:
        listed = ", ".join(f"{base} ({file})" for base, file in named.items())
        raise UserError(f"the files are for different base models: {listed}; if that is wrong, say --base ID")
    return next(iter(named), "")

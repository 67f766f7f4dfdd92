"""What an exported LoRA says of itself: parents by hash, strategy, options; and the header fields of kohya's tools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from selma_core.artifacts.lora_family import Family
from selma_core.artifacts.lora_reader import LayerReader
from selma_core.files import sha256_file

KEY = "selma.manifest"
_VERSIONS: dict[Family, str] = {"sd1": "sd_v1", "sd2": "sd_v2", "sdxl": "sdxl_base_v1-0"}
# SD 2 comes in two kinds (512 epsilon, 768 v) that a LoRA does not tell apart: nothing is claimed for it.
_SPEC: dict[Family, dict[str, str]] = {
    "sd1": {"architecture": "stable-diffusion-v1/lora", "resolution": "512x512", "prediction_type": "epsilon"},
    "sd2": {},
    "sdxl": {
        "architecture": "stable-diffusion-xl-v1-base/lora",
        "resolution": "1024x1024",
        "prediction_type": "epsilon",
    },
}
# What the source's own header knows better, or what only its author can say.
_KEPT = (
    *("architecture", "resolution", "prediction_type", "author", "description"),
    *("license", "usage_hint", "tags", "trigger_phrase", "merged_from"),
)
_SGM = "https://github.com/Stability-AI/generative-models"


def read_manifest(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The `selma.manifest` of a header; empty when there is none or it is no JSON object."""
    try:
        found = json.loads(metadata.get(KEY, "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def export_manifest(source: LayerReader, form: str, dtype: str, family: Family | None) -> dict[str, Any]:
    """The manifest of an export: all that the source's says (a merge's strategy, options, weights), and its hashes.

    `parents` are those of the merge, or the source itself where it is none.
    """
    said = read_manifest(source.metadata)
    hashes = [sha256_file(file) for file in source.files]
    return {
        "base": said.get("base") or source.base() or "",
        "parents": hashes,
        "strategy": None,
        "options": {},
        **{key: value for key, value in said.items() if value not in (None, "")},
        "converted": {
            "from": source.form,
            "to": form,
            "files": {_name(file, source.file): value for file, value in zip(source.files, hashes, strict=True)},
            "dtype": dtype,
            "family": family,
        },
        "versions": {**said.get("versions", {}), "selma": _version()},
    }


def kohya_header(source: LayerReader, family: Family | None, alpha: int) -> dict[str, str]:
    """The `ss_` fields that kohya's tools and A1111 read: the dims, and the alpha of all layers."""
    plain, conv = _ranks(source, kernel=False), _ranks(source, kernel=True)
    arguments = {"conv_dim": _one(conv), "conv_alpha": str(alpha)} if conv else {}
    fields = {
        "ss_network_module": "networks.lora",
        "ss_network_dim": _one(plain or conv),
        "ss_network_alpha": f"{alpha}.0",
        "ss_network_args": json.dumps(arguments),
    }
    if family is not None:
        fields |= {"ss_base_model_version": _VERSIONS[family], "ss_v2": str(family == "sd2")}
    return fields


def modelspec(source: LayerReader, manifest: Mapping[str, Any], family: Family | None, title: str) -> dict[str, str]:
    """The fields of ModelSpec 1.0.1, but for the hash; the date is the source file's, so that exports repeat."""
    date = datetime.fromtimestamp(int(source.files[0].stat().st_mtime), tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")
    spec = dict(_SPEC[family]) if family is not None else {}
    for field in _KEPT:
        if said := source.metadata.get(f"modelspec.{field}"):
            spec[field] = said
    spec |= {
        "sai_model_spec": "1.0.1",
        "implementation": _SGM if family == "sdxl" else "diffusers",
        "title": title,
        "date": date,
    }
    parents = manifest.get("parent_files")
    if isinstance(parents, list) and parents:
        spec["merged_from"] = ", ".join(Path(str(name)).stem for name in parents)
    return {f"modelspec.{field}": value for field, value in spec.items()}


def _ranks(source: LayerReader, *, kernel: bool) -> set[int]:
    infos = [source.info(name) for name in source.names()]
    return {info.rank for info in infos if any(side > 1 for side in info.down[2:]) == kernel}


def _one(ranks: set[int]) -> str:
    """The rank that all have; what kohya's resizing writes where they differ."""
    return str(next(iter(ranks))) if len(ranks) == 1 else "Dynamic"


def _name(file: Path, source: Path) -> str:
    """A file's name, with its folder where a source has several files of one name."""
    return file.relative_to(source).as_posix() if file.is_relative_to(source) and file != source else file.name


def _version() -> str:
    try:
        return version("selma")
    except PackageNotFoundError:
        return "unknown"

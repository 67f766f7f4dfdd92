"""What a LoRA file holds: form, base, layers, ranks, scales, norms, header."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

from selma_core.artifacts.encoder import card_entry, paired_encoder
from selma_core.artifacts.lora_family import detect
from selma_core.artifacts.lora_manifest import read_manifest
from selma_core.artifacts.lora_reader import LayerReader, read_layers
from selma_core.merging.algebra import flat, norm


def describe(path: Path) -> dict[str, Any]:
    """The object that `selma adapter show --json` prints.

    Args:
        path: what `read_layers` takes.

    Raises:
        ArtifactError: no plain LoRA; the message names file and tensor.
    """
    reader = read_layers(path)
    layers = [_layer(reader, name) for name in reader.names()]
    return {
        "path": str(path),
        "form": reader.form,
        "family": detect(reader),
        "base": _base(reader),
        "encoder": _encoder(path),
        "bytes": sum(file.stat().st_size for file in reader.files),
        "dtypes": _counts(reader.info(name).dtype for name in reader.names()),
        "ranks": _counts(layer["rank"] for layer in layers),
        "alphas": _counts("none" if layer["alpha"] is None else layer["alpha"] for layer in layers),
        "scales": _counts(round(layer["scale"], 6) for layer in layers),
        "components": {name: _component(name, layers) for name in sorted({_of(layer) for layer in layers})},
        "metadata": {key: _value(text) for key, text in sorted(reader.metadata.items())},
        "layers": layers,
    }


def _layer(reader: LayerReader, name: str) -> dict[str, Any]:
    info = reader.info(name)
    return {
        "name": name,
        "shape": [info.up[0], *info.down[1:]],
        "rank": info.rank,
        "alpha": info.alpha,
        "scale": reader.scale(name),
        "norm": norm(flat(reader.factors(name))),
    }


def _component(name: str, layers: list[dict[str, Any]]) -> dict[str, Any]:
    own = [layer for layer in layers if _of(layer) == name]
    return {
        "layers": len(own),
        "parameters": sum(layer["rank"] * (layer["shape"][0] + math.prod(layer["shape"][1:])) for layer in own),
        "norm": math.sqrt(sum(layer["norm"] ** 2 for layer in own)),
    }


def _of(layer: dict[str, Any]) -> str:
    return str(layer["name"]).split(".", 1)[0]


def _counts(values: Any) -> dict[str, int]:
    """Value -> how often, the most frequent first."""
    return {str(value): count for value, count in Counter(values).most_common()}


def _base(reader: LayerReader) -> str | None:
    said = read_manifest(reader.metadata).get("base") or reader.base() or reader.metadata.get("ss_sd_model_name")
    return str(said) if said else None


def _encoder(path: Path) -> dict[str, Any] | None:
    """Whom the adapter goes with, and what that learnt."""
    found = paired_encoder(path)
    if found is None:
        return None
    learnt = None if found.learnt is None else str(found.learnt)
    return {**card_entry(found.slot), "learnt": learnt}


def _value(text: str) -> Any:
    """A header field; JSON objects and lists (LoraConfig, manifest) as such."""
    if text[:1] not in ("{", "["):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text

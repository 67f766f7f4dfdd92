"""Names that every tracker takes, and settings as one level of names and values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_UNFIT = re.compile(r"[^\w./ -]")  # MLflow refuses these in names, and its file store makes files of names


def fit(name: str) -> str:
    """`expert[count]` -> `expert/count`; other signs that MLflow refuses become `_`."""
    parts = _UNFIT.sub("_", name.replace("[", "/").replace("]", "")).split("/")
    return "/".join("_" if part.strip(". ") == "" else part for part in parts)


def joined(*parts: str) -> str:
    """Parts of a name as a path, without empty ones."""
    return "/".join(fit(part) for part in parts if part)


def flattened(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(`stages.merge.use`, `linear`) of a resolved recipe; lists and empty mappings are values."""
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from flattened(value, f"{name}.")
        else:
            yield name, value


def is_ablation(nodes: Mapping[str, str]) -> bool:
    """Whether the stages of a run are those of several variants (`ties:merge`)."""
    return bool(nodes) and all(":" in node.partition("[")[0] for node in nodes)


def owner(node: str) -> tuple[str, str]:
    """Variant and stage of an ablation's node: `ties:score[merged]` -> (`ties`, `score[merged]`)."""
    variant, _, stage = node.partition(":")
    return variant, stage

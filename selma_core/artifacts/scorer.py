"""The model of a scorer: a folder with `config.json` and weights as safetensors, as its trainer wrote it.

Beside them the core puts the card `scorer.json` and the curve `curve.jsonl`. What it is a model of, its readers check.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selma_core.artifacts.jsonl import write_rows
from selma_core.artifacts.tensor_reader import TensorReader
from selma_core.errors import ArtifactError
from selma_core.files import write_json
from selma_core.protocols import TrainedScorer

CONFIG = "config.json"
CARD = "scorer.json"
CURVE = "curve.jsonl"
_TEXTS = (".json", ".jsonl", ".txt", ".model")


def write_scorer(folder: Path, scorer: TrainedScorer) -> None:
    """Checks what a trainer wrote into a folder, and adds card and curve.

    Raises:
        ArtifactError: no `config.json`, no weights, a file that is neither safetensors nor text, NaN or infinity in a
            tensor; names the file.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    check_scorer(folder)
    for file in files:
        if file.suffix == ".safetensors":
            reader = TensorReader(file)
            for name in reader.entries:
                reader.finite(name)
        elif file.suffix not in _TEXTS:
            raise ArtifactError(f"{file}: a scorer is safetensors, and {', '.join(_TEXTS)} beside them")
    write_json(folder / CARD, dict(scorer.metadata))
    write_rows(folder / CURVE, scorer.curve)


def check_scorer(folder: Path) -> None:
    """A scorer's folder has a `config.json` and weights.

    Raises:
        ArtifactError: it lacks one of them.
    """
    lacks = ", ".join(_lacks(folder))
    if lacks:
        raise ArtifactError(f"{folder}: is no scorer's folder: it has no {lacks}")


def _lacks(folder: Path) -> Iterator[str]:
    if not (folder / CONFIG).is_file():
        yield CONFIG
    if not any(folder.glob("*.safetensors")):
        yield "*.safetensors"


def read_scorer_card(folder: Path) -> dict[str, Any]:
    """What `scorer.json` says.

    Raises:
        ArtifactError: it is missing or no JSON object.
    """
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folder / CARD}: cannot be read ({error})") from None
    if not isinstance(card, dict):
        raise ArtifactError(f"{folder / CARD}: is {type(card).__name__}, must be an object")
    return card

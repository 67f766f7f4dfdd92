"""The texts that Denscore's mean direction comes from; sentences are cut as for text encoders. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path

from selma_core.errors import ArtifactError

REFERENCE = (
    "A quiet street in the early morning, with wet stones and a single lamp still burning.",
    "An old woman sells oranges and lemons from a wooden cart.",
    "A close view of a beetle on a leaf, its shell green and gold.",
    "Two children fly a red kite above a field of wheat.",
    "A bowl of soup, a slice of bread and a spoon on a blue cloth.",
    "The harbour at night, with the lights of the boats on black water.",
    "A robot made of copper waters the plants in a greenhouse.",
    "A watercolour of three hills under a pale sky.",
    "A kitchen with white walls; a cat sleeps on the window sill.",
    "A portrait of a bearded man in a yellow raincoat.",
    "A train crosses a stone bridge high above a river.",
    "A desk with an open book, a cup of tea and a pair of glasses.",
    "A mountain lake in autumn, trees in orange and red along the shore.",
    "A poster with the word OPEN in large letters.",
    "A dog runs through snow, its ears in the wind.",
    "An astronaut sits on a bench in a park and reads a newspaper.",
    "Five paper boats float in a fountain.",
    "A market hall full of people, seen from above.",
    "A dragon curls around a tower of glass, in the style of an engraving.",
    "A bedroom with a round window and a view of the sea.",
    "A field of sunflowers before a storm.",
    "A musician plays the cello on an empty stage under one spotlight.",
    "A pair of worn leather shoes by a door.",
    "A city of the future with gardens on every roof.",
    "A horse drinks from a stream at the edge of a forest.",
    "A plate with pancakes, blueberries and a little honey.",
    "A lighthouse on a cliff, waves breaking below it.",
    "A black and white photograph of a crowded tram.",
    "A small red car parked to the left of a large blue truck.",
    "A child's drawing of a house with smoke from its chimney.",
    "An empty classroom, chairs on the tables, afternoon light on the floor.",
    "A vase of dried flowers on a marble shelf.",
)
"""Texts of many kinds, written for this; changing one changes every reweighted score."""


def reference_texts(path: Path | None) -> list[str]:
    """The bundled texts, the lines of a file, or the field `text` of the rows of a `.jsonl` file.

    Raises:
        ArtifactError: the file cannot be read, or has no line.
    """
    if path is None:
        return list(REFERENCE)
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        found = [str(json.loads(line)["text"]) for line in lines] if path.suffix == ".jsonl" else lines
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: cannot be read: {type(error).__name__}: {error}") from error
    if not found:
        raise ArtifactError(f"{path}: holds no reference text")
    return found

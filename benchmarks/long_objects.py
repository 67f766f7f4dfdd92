"""Which objects of a long text are drawn: `python benchmarks/long_objects.py RUN_FOLDER`, a run of `longalign_shapes`.

The texts of `shapes_long` name four objects in as many sentences. For each variant that was judged by such questions:
the share of images that have the first, second, third and fourth object of the text (shape alone, and shape with its
colour), as a Markdown table with intervals over prompts.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

PLACES = ("first", "second", "third", "fourth")
# prompt id -> 1 or 0 of each of its images
Marks = dict[str, list[float]]


def questions(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """For each object in the text's order: the ids of "is it there?" and of "has it this colour?"."""
    found = []
    for asked in spec["questions"]:
        if asked["category_detailed"] == "whole":
            colour = [q["id"] for q in spec["questions"] if q["dependency"] == asked["id"] and _colour(q)]
            found.append((asked["id"], colour[0]))
    return found


def _colour(question: Mapping[str, Any]) -> bool:
    return bool(question["category_detailed"] == "color")


def marks(folder: Path) -> list[tuple[Marks, Marks]]:
    """For each place in the text: who is there, and who is there in its colour."""
    specs = json.loads((folder / "specs.json").read_text())
    said: dict[tuple[str, str], dict[str, bool]] = defaultdict(dict)
    for line in (folder / "atoms.jsonl").read_text().splitlines():
        row = json.loads(line)
        said[row["prompt_id"], row["item_id"]][row["key"]] = row["value"] == 1.0
    places: list[tuple[Marks, Marks]] = [(defaultdict(list), defaultdict(list)) for _ in PLACES]
    for (prompt, _), answers in said.items():
        for (there, coloured), (whole, colour) in zip(places, questions(specs[prompt]), strict=True):
            there[prompt].append(float(answers[whole]))
            coloured[prompt].append(float(answers[whole] and answers[colour]))
    return places


def cell(found: Marks) -> str:
    """Per cent, with a bootstrap interval over prompts."""
    means = np.array([np.mean(values) for values in found.values()]) * 100
    drawn = np.random.default_rng(0).integers(len(means), size=(2000, len(means)))
    low, high = np.quantile(means[drawn].mean(1), [0.025, 0.975])
    return f"{means.mean():.0f} ({low:.0f} to {high:.0f})"


def judged(run: Path) -> Iterator[tuple[str, Path]]:
    """The variants that were asked about four objects, and where the answers are."""
    for stage in json.loads((run / "run.json").read_text())["stages"]:
        folder = Path(stage["artifact"] or "")
        if stage["id"].startswith("score[") and (folder / "specs.json").is_file():
            specs = json.loads((folder / "specs.json").read_text())
            if all("long" in spec["groups"] for spec in specs.values()):
                yield stage["id"].removeprefix("score[").removesuffix("]"), folder


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a folder of STORE/runs")
    run = parser.parse_args().run
    names = [*PLACES, *(f"{place}, colour" for place in PLACES)]
    print("| variant | " + " | ".join(names) + " |")
    print("| --- |" + " ---: |" * len(names))
    for variant, folder in judged(run):
        places = marks(folder)
        cells = [cell(place[kind]) for kind in (0, 1) for place in places]
        print(f"| `{variant}` | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()

"""Benchmark files in DSG's own columns: ``python -m selma_plugins.shapes.benchmark FOLDER``."""

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from selma_plugins.shapes import narrative
from selma_plugins.shapes.grammar import (
    ShapePrompt,
    benchmark_prompts,
    long_prompts,
    prompts_by_length,
    validation_prompts,
)
from selma_plugins.shapes.questions import questions_of

COLUMNS = (
    "item_id", "text", "keywords", "proposition_id", "dependency",
    "category_broad", "category_detailed", "tuple", "question_natural_language",
)  # fmt: skip
VALIDATION_SIZE = 100


def csv_of(prompts: Iterable[ShapePrompt], prefix: str) -> str:
    """The rows of some prompts, one a question; items are ``<prefix>_<skill>_<number>``."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    numbers: Counter[str] = Counter()
    for prompt in prompts:
        item = f"{prefix}_{prompt.skill}_{numbers[prompt.skill]:03d}"
        numbers[prompt.skill] += 1
        for q in questions_of(prompt):
            parents = ",".join(str(d) for d in q.dependency)
            row = (q.proposition_id, parents, q.category_broad, q.category_detailed)
            writer.writerow((item, prompt.text, "", *row, q.tuple, q.question))
    return out.getvalue()


def files() -> dict[str, str]:
    """The name and the content of each benchmark file of the world."""
    return {
        "shapes.csv": csv_of(benchmark_prompts(), "shapes"),
        "shapes_long.csv": csv_of(long_prompts(), "shapes"),
        "shapes_lengths.csv": csv_of(prompts_by_length(), "shapes"),
        "shapes_narrative.csv": csv_of(narrative.benchmark(), "shapes"),
        "shapes_narrative_plain.csv": csv_of(narrative.benchmark(plain=True), "shapes"),
        "shapes_validation.csv": csv_of(validation_prompts(VALIDATION_SIZE), "shapesval"),
    }


def main() -> None:
    """Write the files to the folder that is the first argument."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files().items():
        (folder / name).write_text(content)


if __name__ == "__main__":
    main()

"""What an ablation asks for, as read from a file or put together from the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import yaml

from selma_core.errors import ConfigError
from selma_core.variations import Vary, variants_of

UNNAMED = ""
"""The name of the only variant of an ablation that varies nothing: its recipe as it is."""


@attrs.frozen(kw_only=True)
class Claim:
    """What somebody says of two rows, to be held against the numbers.

    Attributes:
        text: in words. source: who says so, a paper's table or section.
        better: a row. than: rows that it must be better than, each of them; a pattern (`expert_*`) or a plural
            (`experts`) stands for the mean of several.
        margin: by how much, in the metric's reported scale; below 0 for "at most so much worse".
    """

    text: str
    source: str
    better: str
    than: tuple[str, ...]
    margin: float = 0.0


@attrs.frozen(kw_only=True)
class Ablation:
    """An ablation as written.

    Attributes:
        name: of the registry entry, or the file's stem.
        recipe: registry name or file. variants: name -> dotted path -> value; `{UNNAMED: {}}` = the recipe as it is.
        metric: what is compared; "" = the recipe's `report.headline`, else its first metric.
        baseline: the row that the others are compared with; "" = the first (of the recipe as it is: what its `report`
            compares).
        measured: the variants OF THE RECIPE whose scores count; () = `merged`, else the last; all of the recipe as it
            is.
        seeds: each replicates the whole recipe, from prompts to pictures; () = the recipe's own.
        claims: to be judged.
        command: the words after `selma` that ask for it, without overrides and seeds.
        summary: one line; "" = the recipe's.
    """

    name: str
    recipe: str | Path
    variants: Mapping[str, Mapping[str, Any]]
    metric: str = ""
    baseline: str = ""
    measured: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    claims: tuple[Claim, ...] = ()
    command: tuple[str, ...] = ()
    summary: str = ""


def vary(recipe: str | Path, settings: Vary, grid: str = "full", seeds: tuple[int, ...] = ()) -> Ablation:
    """The ablation that runs a recipe with its settings varied; the first variant is the baseline.

    Args:
        settings: dotted path -> the values it takes. grid: `full` or `one` at a time. seeds: of each variant.

    Raises:
        ConfigError: see `selma_core.variations.variants_of`; `seed` varied beside `seeds`.
    """
    variants = variants_of(settings, grid)
    words = [f"--vary={path}={','.join(map(_yaml, values))}" for path, values in settings.items()]
    found = Ablation(
        name=Path(recipe).stem,
        recipe=recipe,
        variants=variants,
        baseline=next(iter(variants)),
        seeds=seeds,
        command=("run", str(recipe), *words, *(() if grid == "full" else (f"--grid={grid}",))),
    )
    check_seeds(found)
    return found


def repeat(recipe: str | Path, seeds: tuple[int, ...]) -> Ablation:
    """The ablation that runs a recipe as it is with several seeds, and compares what its report compares."""
    return Ablation(
        name=Path(recipe).stem, recipe=recipe, variants={UNNAMED: {}}, seeds=seeds, command=("run", str(recipe))
    )


def parse_seeds(value: str | int | list[Any]) -> tuple[int, ...]:
    """`3` -> 0, 1, 2; `0,7` or [0, 7] -> those.

    Raises:
        ConfigError: not that; none; one of them twice.
    """
    if isinstance(value, str):
        parts: list[Any] = [part.strip() for part in value.split(",") if part.strip()]
        value = parts if "," in value else _whole(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = list(range(value))
    seeds = tuple(map(_whole, value)) if isinstance(value, list) else ()
    if not seeds or min(seeds) < 0:
        raise ConfigError("seeds: a number of them, like 3, or a list, like 0,1,7; none below 0")
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"seeds: one is there twice: {', '.join(map(str, seeds))}")
    return seeds


def check_seeds(ablation: Ablation) -> None:
    """Raises ConfigError when a variant sets the recipe's seed although `seeds` does."""
    for name, changes in ablation.variants.items():
        if ablation.seeds and "seed" in changes:
            raise ConfigError(f"variant '{name}' sets 'seed', and so do the seeds: leave one of them out")


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).split("\n")[0].strip()


def _whole(value: Any) -> int:
    try:
        if isinstance(value, bool | float):
            raise ValueError
        return int(value)
    except (TypeError, ValueError):
        raise ConfigError(f"seeds: {value!r} is not a whole number; like 3, or 0,1,7") from None

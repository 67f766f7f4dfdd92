"""What a tracking library has to take: one page per run, and per variant of an ablation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs


@attrs.frozen(kw_only=True)
class Head:
    """What is known when a page is opened.

    Attributes:
        title: the run's id, or a variant's name. recipe: of the recipe or ablation. run_id: of SELMA's run.
        kind: `run`, `ablation`, or `variant` of one. store: SELMA's store, None if unknown.
        settings: flat name -> value, without secrets. tags: name -> text. parent: the ablation's page.
    """

    title: str
    recipe: str
    run_id: str
    kind: str
    store: Path | None
    settings: Mapping[str, Any]
    tags: Mapping[str, str]
    parent: Page | None = None


@attrs.frozen
class Sheet:
    """A table. Attributes: rows = one value per column."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]


class Page(Protocol):
    """A run in the tracker's own store. Names are paths of `selma_plugins.trackers.names.fit`."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Sets or replaces short texts."""

    def metrics(self, values: Mapping[str, float]) -> None:
        """Numbers that have one value."""

    def curve(self, name: str, rows: Sequence[Mapping[str, float]]) -> None:
        """Numbers per training step: each row has `step`."""

    def text(self, name: str, text: str) -> None:
        """A small file with this content."""

    def file(self, path: Path) -> None:
        """A copy of a file."""

    def sheet(self, sheet: Sheet) -> None:
        """A table."""

    def close(self, ok: bool) -> None:
        """The end; `ok` = every stage is done."""

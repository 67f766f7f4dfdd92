"""From the events of a run to pages of a tracker: what is noted, the same for every library."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import attrs

from selma_core.artifacts.adapter import CURVE
from selma_core.artifacts.jsonl import read_rows
from selma_core.events import RunFinished, RunStarted, Scored, StageFinished, StageStarted, StageWarning
from selma_core.redaction import without_secrets
from selma_plugins.trackers.names import fit, flattened, is_ablation, joined, owner
from selma_plugins.trackers.page import Head, Page
from selma_plugins.trackers.results import numbers, score_numbers, score_sheet

_TRAINERS = ("adapter_trainer", "scorer_trainer")


@attrs.define
class Journal:
    """Takes events in their order. An ablation is a parent page and one page per variant, opened when it begins.

    Attributes:
        open_page: makes a page of the tracker.
    """

    open_page: Callable[[Head], Page]
    _head: Head | None = attrs.field(default=None, init=False)
    _pages: dict[str, Page] = attrs.field(factory=dict, init=False)
    _warnings: list[str] = attrs.field(factory=list, init=False)
    _failed: set[str] = attrs.field(factory=set, init=False)
    _curves: set[str] = attrs.field(factory=set, init=False)

    def __call__(self, event: Any) -> None:
        """One event; those that are not known, or that belong to no run, are ignored."""
        if isinstance(event, RunStarted):
            self._start(event)
        elif self._head is None:
            return
        elif isinstance(event, StageStarted):
            page, stage = self._place(event.node)
            page.tags({joined("stage", stage): "running"})
        elif isinstance(event, StageFinished):
            self._stage(event)
        elif isinstance(event, StageWarning):
            self._warnings.append(f"{event.node}: {event.message}")
        elif isinstance(event, Scored):
            self._scored(event)
        elif isinstance(event, RunFinished):
            self._finish(event.result)

    def _start(self, event: RunStarted) -> None:
        settings = dict(flattened(without_secrets(event.config)))
        seed = settings.get("seed")
        tags = {"selma.run": event.run_id, "selma.recipe": event.recipe, "selma.version": _version()}
        self._head = Head(
            title=event.run_id,
            recipe=event.recipe,
            run_id=event.run_id,
            kind="ablation" if is_ablation(event.nodes) else "run",
            store=event.store,
            settings=settings,
            tags=tags if seed is None else {**tags, "selma.seed": str(seed)},
        )
        self._pages = {"": self.open_page(self._head)}

    def _place(self, node: str) -> tuple[Page, str]:
        """The page that a stage belongs on, and the stage's name there."""
        assert self._head is not None
        if self._head.kind == "run":
            return self._pages[""], node
        variant, stage = owner(node)
        return self._page(variant), stage

    def _page(self, variant: str) -> Page:
        assert self._head is not None
        if variant not in self._pages:
            head = attrs.evolve(
                self._head,
                title=variant,
                kind="variant",
                settings={"variant": variant},  # the event holds the settings of the first variant alone
                tags={**self._head.tags, "selma.variant": variant},
                parent=self._pages[""],
            )
            self._pages[variant] = self.open_page(head)
        return self._pages[variant]

    def _stage(self, event: StageFinished) -> None:
        page, stage = self._place(event.node)
        tags = {joined("stage", stage): event.outcome, joined("fingerprint", stage): event.fingerprint}
        if event.error:
            tags[joined("error", stage)] = event.error
        page.tags(tags)
        page.metrics({joined("seconds", stage): event.seconds})
        if event.outcome == "failed":
            self._failed.add(self._owner(event.node))
        elif event.kind in _TRAINERS and event.artifact and event.fingerprint not in self._curves:
            self._curves.add(event.fingerprint)  # a stage that variants share has its curve where it came first
            rows = _curve(event.artifact / CURVE)
            if rows:
                page.curve(fit(stage), rows)

    def _owner(self, node: str) -> str:
        return "" if self._head is None or self._head.kind == "run" else owner(node)[0]

    def _scored(self, event: Scored) -> None:
        if event.mean is None:
            return
        self._pages[""].metrics({joined("scores", event.variant, event.metric, "mean"): event.mean})
        variant = self._owner(event.node)
        if variant:
            own = event.variant.removeprefix(variant).removeprefix(":")
            self._page(variant).metrics({joined("scores", own, event.metric, "mean"): event.mean})

    def _finish(self, result: Mapping[str, Any]) -> None:
        page, scores = self._pages[""], result.get("scores") or {}
        page.metrics(numbers(result))
        if scores:
            page.sheet(score_sheet(scores))
        for variant, metrics in scores.items():
            if variant and variant in self._pages:
                self._pages[variant].metrics(score_numbers(metrics, "scores"))
        if self._warnings:
            page.text("warnings.txt", "\n".join(self._warnings) + "\n")
        page.text("result.json", json.dumps(without_secrets(result), indent=2, ensure_ascii=False) + "\n")
        report = result.get("report")
        if report and Path(report).is_file():
            page.file(Path(report))
        for name, one in reversed(self._pages.items()):  # children before their parent
            one.close(not self._failed if name == "" else name not in self._failed)
        self._pages, self._head = {}, None


def _curve(path: Path) -> list[dict[str, float]]:
    """The rows of an adapter's curve that have a step, numbers only."""
    rows = [dict(row.values) for row in read_rows(path)] if path.is_file() else []
    plain = [
        {key: value for key, value in row.items() if isinstance(value, int | float) and not isinstance(value, bool)}
        for row in rows
    ]
    return [row for row in plain if "step" in row]


def _version() -> str:
    try:
        return version("selma")
    except PackageNotFoundError:
        return "unknown"

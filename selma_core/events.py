"""Event records. Every event hook and tracker takes exactly one of these, so no hook ever needs a new argument."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class RunStarted:
    """A run begins.

    Attributes:
        nodes: node id -> status of the plan (`run`, `hit`, `shared`, `suspect`); in an ablation `variant:id`.
        config: the resolved recipe. store: folder of the store, where observers may keep files of their own.
    """

    run_id: str
    recipe: str
    nodes: Mapping[str, str]
    config: Mapping[str, Any]
    store: Path | None = None


@attrs.frozen(kw_only=True)
class StageStarted:
    """A stage begins to run."""

    run_id: str
    node: str
    kind: str
    plugin: str
    fingerprint: str


@attrs.frozen(kw_only=True)
class StageProgress:
    """A stage moved on. Attributes: done of total, in the stage's own unit (prompts, images, steps, layers)."""

    run_id: str
    node: str
    done: int
    total: int
    note: str = ""


@attrs.frozen(kw_only=True)
class StageWarning:
    """One line a stage wants the user to see."""

    run_id: str
    node: str
    message: str


@attrs.frozen(kw_only=True)
class StageFinished:
    """A stage ended. Attributes: outcome = `ran` | `reused` | `failed`; artifact = its folder, or None."""

    run_id: str
    node: str
    kind: str
    plugin: str
    fingerprint: str
    outcome: str
    seconds: float
    artifact: Path | None
    error: str | None = None


@attrs.frozen(kw_only=True)
class Scored:
    """A score is known, while other stages still run.

    Attributes:
        node: the evaluator's. variant: what the score goes by in the result (in an ablation `name` of the variant
            measured, else `name:variant`). metric, rule, judge: what the number is. mean: None without data.
    """

    run_id: str
    node: str
    variant: str
    metric: str
    rule: str
    judge: str
    mean: float | None


@attrs.frozen(kw_only=True)
class RunFinished:
    """A run ended. Attributes: result = the JSON object that `selma run --json` prints."""

    run_id: str
    result: Mapping[str, Any]


Event = RunStarted | StageStarted | StageProgress | StageWarning | StageFinished | Scored | RunFinished

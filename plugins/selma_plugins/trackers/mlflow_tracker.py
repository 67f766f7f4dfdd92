"""The tracker `mlflow`: runs in a local file store, or on a server that `uri` names."""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

# Read when mlflow is imported. Its usage statistics are sent over the network; its file store wants to be asked for.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")

from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from selma_plugins.trackers.folders import local_folder
from selma_plugins.trackers.journal import Journal
from selma_plugins.trackers.options import MlflowOptions
from selma_plugins.trackers.page import Head, Page, Sheet

_BATCH = 100  # parameters and tags per call; of metrics MLflow takes 1000
_LONGEST = 5000  # characters of a tag or parameter


class MlflowTracker:
    """Writes with an `MlflowClient` of its own: the process-wide tracking URI and active run stay as they are."""

    def __init__(self, options: MlflowOptions) -> None:
        self._options = options
        self._client: MlflowClient | None = None
        self._journal = Journal(self._open)

    def on_event(self, event: Any) -> None:
        """One event."""
        self._journal(event)

    def _open(self, head: Head) -> Page:
        options = self._options
        if self._client is None:
            place = local_folder(options.folder, head.store, "mlflow")
            self._client = MlflowClient(tracking_uri=options.uri or place.as_uri())
        client, name = self._client, options.experiment or head.recipe
        known = client.get_experiment_by_name(name)
        experiment = client.create_experiment(name) if known is None else known.experiment_id
        tags = dict(head.tags)
        if isinstance(head.parent, MlflowPage):
            tags["mlflow.parentRunId"] = head.parent.run_id
        run = client.create_run(experiment, run_name=head.title, tags=tags)
        page = MlflowPage(client, run.info.run_id)
        page.params(head.settings)
        return page


class MlflowPage:
    """One MLflow run."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client, self.run_id = client, run_id

    def params(self, values: Mapping[str, Any]) -> None:
        """The settings; they are written once."""
        for part in _batches([Param(name, str(value)[:_LONGEST]) for name, value in _named(values)]):
            self._client.log_batch(self.run_id, params=part)

    def tags(self, values: Mapping[str, str]) -> None:
        """Sets or replaces."""
        for part in _batches([RunTag(name, value[:_LONGEST]) for name, value in values.items()]):
            self._client.log_batch(self.run_id, tags=part)

    def metrics(self, values: Mapping[str, float]) -> None:
        """At step 0."""
        self._log([Metric(name, value, _now(), 0) for name, value in values.items()])

    def curve(self, name: str, rows: Sequence[Mapping[str, float]]) -> None:
        """`expert/count/loss` at each step."""
        now = _now()
        self._log(
            Metric(f"{name}/{key}", float(value), now, int(row["step"]))
            for row in rows
            for key, value in row.items()
            if key != "step"
        )

    def text(self, name: str, text: str) -> None:
        """An artifact."""
        self._client.log_text(self.run_id, text, name)

    def file(self, path: Path) -> None:
        """An artifact."""
        self._client.log_artifact(self.run_id, str(path))

    def sheet(self, sheet: Sheet) -> None:
        """An artifact in CSV: MLflow's own tables need pandas."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerows([sheet.columns, *sheet.rows])
        self.text(f"{sheet.name}.csv", out.getvalue())

    def close(self, ok: bool) -> None:
        """FINISHED, or FAILED when a stage failed."""
        self._client.set_terminated(self.run_id, "FINISHED" if ok else "FAILED")

    def _log(self, metrics: Any) -> None:
        for part in _batches(metrics):
            self._client.log_batch(self.run_id, metrics=part)


def _named(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    from selma_plugins.trackers.names import fit

    return ((fit(name), value) for name, value in values.items())


def _batches(values: Any) -> Iterator[list[Any]]:
    rest = iter(values)
    while part := list(islice(rest, _BATCH)):
        yield part


def _now() -> int:
    return int(time.time() * 1000)

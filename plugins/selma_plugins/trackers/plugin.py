"""Registers the trackers."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import TrackerRecord
from selma_plugins.trackers.options import MlflowOptions, WandbOptions


@hookimpl
def selma_trackers() -> Iterator[TrackerRecord]:
    """`mlflow` and `wandb`, both on this machine alone unless told otherwise."""
    yield TrackerRecord(
        name="mlflow",
        summary="settings, loss curves and scores as MLflow runs, in a local folder or on a server",
        factory="selma_plugins.trackers.mlflow_tracker:MlflowTracker",
        options=MlflowOptions,
        requires="mlflow",
        reference="https://mlflow.org",
    )
    yield TrackerRecord(
        name="wandb",
        summary="settings, loss curves and scores as Weights & Biases runs, offline by default",
        factory="selma_plugins.trackers.wandb_tracker:WandbTracker",
        options=WandbOptions,
        requires="wandb",
        reference="https://wandb.ai",
    )

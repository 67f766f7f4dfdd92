"""Stage `adapter_trainer`: images or prompts (and an adapter to start from) -> adapter."""

from __future__ import annotations

from selma_core.artifacts.adapter import write_adapter
from selma_core.protocols import TrainJob
from selma_core.stages.task import Task


def run_train(task: Task) -> None:
    """Trains on all images of all sets. The trainer resumes from its working folder by itself."""
    job = TrainJob(context=task.context, images=task.images(), adapter=task.adapter(), prompts=task.prompts())
    write_adapter(task.out, task.implementation.train(job))

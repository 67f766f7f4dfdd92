"""Stage `merge_strategy`: adapters -> adapter, layer by layer."""

from __future__ import annotations

from selma_core.artifacts.adapter import adapter_file, merge_adapters, read_card
from selma_core.errors import StageError
from selma_core.stages.task import Task


def run_merge(task: Task) -> None:
    """Streams the layers of all experts through the strategy."""
    experts = task.inputs["adapters"]
    bases = {str(read_card(expert.folder).get("base", "")): expert.folder for expert in experts}
    if len(bases) > 1:
        listed = ", ".join(f"{base or 'unknown'} ({folder})" for base, folder in bases.items())
        raise StageError(f"the experts are for different base models: {listed}")
    merge_adapters(
        task.implementation,
        [adapter_file(expert.folder) for expert in experts],
        [expert.fingerprint for expert in experts],
        next(iter(bases)),
        task.context.seed,
        task.out,
        task.context.progress,
    )

"""Stage `merge_strategy`: adapters -> adapter, layer by layer."""

from __future__ import annotations

from selma_core.artifacts.adapter import adapter_file, read_card, write_side_files
from selma_core.errors import StageError
from selma_core.merging.files import MergePlan, merge_files
from selma_core.stages.task import Task


def run_merge(task: Task) -> None:
    """Streams the layers of all experts through the strategy."""
    experts = task.inputs["adapters"]
    bases = {str(read_card(expert.folder).get("base", "")): expert.folder for expert in experts}
    if len(bases) > 1:
        listed = ", ".join(f"{base or 'unknown'} ({folder})" for base, folder in bases.items())
        raise StageError(f"the experts are for different base models: {listed}")
    plan = MergePlan(
        strategy=task.implementation,
        files=[adapter_file(expert.folder) for expert in experts],
        expert_ids=[expert.fingerprint for expert in experts],
        base=next(iter(bases)),
        seed=task.context.seed,
    )
    card = merge_files(plan, adapter_file(task.out), task.context.progress)
    write_side_files(task.out, card)

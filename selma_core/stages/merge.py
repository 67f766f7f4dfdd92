"""Stage `merge_strategy`: adapters -> adapter, layer by layer."""

from __future__ import annotations

from selma_core.artifacts.adapter import adapter_file, read_card, write_side_files
from selma_core.errors import StageError
from selma_core.merging.files import MergePlan, merge_files
from selma_core.protocols import FitJob, Fitted, WeightFitter
from selma_core.stages.task import Task


def run_merge(task: Task) -> None:
    """Streams the layers of all experts through the strategy."""
    experts = task.inputs["adapters"]
    bases = {str(read_card(expert.folder).get("base", "")): expert.folder for expert in experts}
    if len(bases) > 1:
        listed = ", ".join(f"{base or 'unknown'} ({folder})" for base, folder in bases.items())
        raise StageError(f"the experts are for different base models: {listed}")
    strategy, base = task.implementation, next(iter(bases))
    files = tuple(adapter_file(expert.folder) for expert in experts)
    ids = tuple(expert.fingerprint for expert in experts)
    fitted = Fitted(weights=())
    if isinstance(strategy, WeightFitter):
        fitted = strategy.fit(FitJob(context=task.context, files=files, expert_ids=ids, base=base))
    plan = MergePlan(
        strategy=strategy,
        files=files,
        expert_ids=ids,
        base=base,
        seed=task.context.seed,
        weights=fitted.weights or None,
        record=dict(fitted.record),
    )
    card = merge_files(plan, adapter_file(task.out), task.context.progress)
    write_side_files(task.out, card, fitted.trace)

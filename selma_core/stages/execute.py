"""Runs one job: under its lock, in its work folder, with its fingerprint checked, into the store."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from selma_core.config import bind_options, expanded_options
from selma_core.errors import SelmaError, StageError
from selma_core.files import disk_error
from selma_core.graph.build import make_payload
from selma_core.graph.fingerprint import fingerprint
from selma_core.pool import process_pool
from selma_core.protocols import Receipt
from selma_core.stages.context import StageContext
from selma_core.stages.jobs import Job
from selma_core.stages.memory import Freeing, PeakMemory
from selma_core.stages.task import Input, Task
from selma_core.stages.threads import TorchThreads
from selma_core.store import Manifest, Store
from selma_core.store.manifest import hash_files

if TYPE_CHECKING:
    from selma_core.catalog import Catalog, Offer
    from selma_core.registry import Registry

# These load big models of their own, outside the pool: an idle judge must not stand in their way.
_HEAVY = frozenset({"image_generator", "adapter_trainer", "merge_strategy", "scorer_trainer"})

Report = Callable[[Mapping[str, Any]], None]

# Imported on first use: a training stage needs torch, a prompt stage should not pay for it.
_RUNNERS = {
    "prompt_source": "selma_core.stages.prompts:run_prompts",
    "image_generator": "selma_core.stages.images:run_images",
    "selector": "selma_core.stages.select:run_select",
    "adapter_trainer": "selma_core.stages.train:run_train",
    "merge_strategy": "selma_core.stages.merge:run_merge",
    "evaluator": "selma_core.stages.scores:run_scores",
    "scorer_trainer": "selma_core.stages.scorer:run_scorer",
}


_free = Freeing()


def execute(job: Job, catalog: Catalog, registry: Registry, report: Report) -> Receipt:
    """Runs a job, or finds its artifact stored. Never raises for a failed stage: the receipt says it.

    Args:
        report: gets progress and warning events as JSON.
    """
    start = time.monotonic()
    store = Store(job.store)
    try:
        with store.lock(job.fingerprint, lambda: report(_waiting())):
            outcome = "reused" if store.has(job.fingerprint) else "ran"
            if outcome == "ran":
                _run(job, store, catalog, registry, report)
        return Receipt(fingerprint=job.fingerprint, outcome=outcome, seconds=time.monotonic() - start)
    except Exception as error:
        process_pool().trim()  # it may have been memory that was lacking
        return Receipt(
            fingerprint=job.fingerprint,
            outcome="failed",
            seconds=time.monotonic() - start,
            error=f"{job.node}: {_line(error, job)}",
            trace=traceback.format_exc(),
        )
    finally:
        _free()


def _run(job: Job, store: Store, catalog: Catalog, registry: Registry, report: Report) -> None:
    start = time.monotonic()
    offer = catalog.find(job.kind, job.plugin)
    options = bind_options(
        offer, job.options, path=f"{job.node}.options", origins={}, catalog=catalog, registry=registry
    )
    payload = make_payload(
        offer, expanded_options(offer, options, catalog=catalog, registry=registry), job.seed, job.inputs
    )
    if fingerprint(payload) != job.fingerprint:
        raise StageError(_changed(offer))
    inputs = {port: tuple(_input(store, name) for name in names) for port, names in job.inputs.items()}
    out, scratch = store.prepare(job.fingerprint)
    threads = TorchThreads(job.threads)
    context = StageContext(
        seed=job.seed,
        workdir=scratch,
        catalog=catalog,
        registry=registry,
        report=report,
        wanted_device=job.device,
        threads=threads,
        scorer_input=next(iter(inputs.get("scorer", ())), None),
    )
    memory = PeakMemory()
    try:
        if job.kind in _HEAVY:
            process_pool().trim()
        threads.apply()
        implementation = catalog.build(offer, options)
        threads.apply()  # building may have imported torch
        task = Task(implementation=implementation, context=context, inputs=inputs, out=out, scratch=scratch)
        _runner(job.kind)(task)
        peak = memory.read()
    finally:
        context.close()
        threads.restore()
    manifest = Manifest(
        fingerprint=job.fingerprint,
        payload=payload,
        label=job.node,
        kind=job.kind,
        plugin=offer.record.name,
        provider=offer.provider,
        version=offer.version,
        inputs={port: tuple(names) for port, names in job.inputs.items()},
        seconds=round(time.monotonic() - start, 3),
        files=hash_files(out),
        warnings=tuple(context.warnings),
        peak_memory=peak,
    )
    store.commit(manifest)


def _runner(kind: str) -> Callable[[Task], None]:
    module, _, name = _RUNNERS[kind].partition(":")
    runner: Callable[[Task], None] = getattr(import_module(module), name)
    return runner


def _input(store: Store, name: str) -> Input:
    damage = next(store.damage(name, full=False), None)
    if damage is not None:
        raise StageError(f"an input is not in the store: {damage}")
    return Input(fingerprint=name, folder=store.artifact(name))


def _waiting() -> dict[str, Any]:
    return {"event": "progress", "done": 0, "total": 0, "note": "waiting for another run that makes the same"}


def _changed(offer: Offer) -> str:
    return (
        f"the fingerprint that this worker computes differs from the plan's: {offer.qualified} {offer.version}, its "
        "revision, a model or a registry entry changed since; plan again, with the same plugins on every machine"
    )


def _line(error: Exception, job: Job) -> str:
    if isinstance(error, OSError):
        known = disk_error(error, job.store)
        if known is not None:
            return str(known)
    text = " ".join(str(error).split())
    return (
        text if isinstance(error, SelmaError) else f"{type(error).__name__}: {text}" if text else type(error).__name__
    )

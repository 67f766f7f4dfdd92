"""The conformance kit on what merges, trains, judges and runs: bad ones are told what to change."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import attrs

from selma_core.data import (
    Atom,
    ItemAtoms,
    MetricInfo,
    PromptScore,
    Summary,
)
from selma_core.protocols import Receipt, TrainedAdapter
from selma_core.testing import (
    check_adapter_trainer,
    check_evaluator,
    check_executor,
    check_merge_strategy,
    check_tracker,
)
from tests.core.conformance import fails, items


class Mean:
    def __init__(self, options: Any) -> None:
        self.options = options

    def weights(self, count: int, base: str) -> tuple[float, ...]:
        return tuple(1 / count for _ in range(count))

    def merge_layer(self, job: Any) -> Any:
        import torch

        from selma_core.protocols import Factors

        present = [(expert, weight) for expert, weight in zip(job.experts, job.weights, strict=True) if expert]
        if not present:
            return None
        up = torch.cat([expert.up * self.scale(weight) for expert, weight in present], dim=1)
        return Factors(up=up, down=torch.cat([expert.down for expert, _ in present]))

    def scale(self, weight: float) -> float:
        return weight


class Scaled(Mean):
    def scale(self, weight: float) -> float:
        return 2 * weight


class Noisy(Mean):
    def scale(self, weight: float) -> float:
        import torch

        return weight * float(torch.rand(()))


class InPlace(Mean):
    def merge_layer(self, job: Any) -> Any:
        for expert in job.experts:
            if expert is not None:
                expert.up.mul_(0.5)
        return super().merge_layer(job)


def test_merge_strategies() -> None:
    check_merge_strategy(Mean, None)
    check_merge_strategy(Scaled, None, identity=False)
    cases = ((Scaled, "must give itself"), (Noisy, "other numbers"), (InPlace, "changed its inputs"))
    for strategy, message in cases:
        with fails(message):
            check_merge_strategy(strategy, None)


class Trainer:
    keeps = True

    def __init__(self, options: Any) -> None:
        self.options = options

    def train(self, job: Any) -> TrainedAdapter:
        import torch

        file = job.context.workdir / "step"
        start = int(file.read_text()) if self.keeps and file.exists() else 0
        ran = 0
        for step in range(start, 4):
            file.write_text(str(step + 1))
            ran += 1
            job.context.progress(step + 1, 4)
        total = 4 if self.keeps else ran
        tensors = {"unet.a.lora_A.weight": torch.full((2, 3), float(total)), "unet.a.lora_B.weight": torch.ones(5, 2)}
        return TrainedAdapter(tensors=tensors, curve=({"step": 1, "loss": 0.5},))


class LosesSteps(Trainer):
    def train(self, job: Any) -> TrainedAdapter:
        import torch

        again = (job.context.workdir / "begun").exists()
        (job.context.workdir / "begun").write_text("x")
        job.context.progress(1, 2)
        job.context.progress(2, 2)
        tensor = torch.full((2, 3), float(again))
        return TrainedAdapter(tensors={"unet.a.lora_A.weight": tensor, "unet.a.lora_B.weight": torch.ones(5, 2)})


class KohyaNames(Trainer):
    def train(self, job: Any) -> TrainedAdapter:
        import torch

        return TrainedAdapter(tensors={"lora_unet_a.lora_down.weight": torch.ones(2, 3)})


def test_trainers(tmp_path: Path) -> None:
    given = items(tmp_path)
    check_adapter_trainer(Trainer, None, images=given, workdir=tmp_path / "good")
    for trainer, message in ((LosesSteps, "after a kill"), (KohyaNames, "is not named <module>.lora_A.weight")):
        with fails(message):
            check_adapter_trainer(trainer, None, images=given, workdir=tmp_path / trainer.__name__)


# --- evaluators, executors, trackers ------------------------------------------------------------------------


class Judge:
    info = MetricInfo(name="yes", rules=("official", "other"))

    def __init__(self, options: Any) -> None:
        self.options = options

    def prepare(self, prompts: Any, context: Any) -> Any:
        return {prompt.id: {"questions": 2} for prompt in prompts}

    def observe(self, given: Any, specs: Any, context: Any) -> Any:
        for item in given:
            atoms = tuple(Atom(key=str(n), value=float(n)) for n in range(2))
            yield ItemAtoms(item_id=item.item_id, prompt_id=item.prompt.id, k=item.k, atoms=atoms)

    def score(self, atoms: Any, spec: Any, rule: str) -> float | None:
        values = [atom.value for atom in atoms if atom.status == "ok"]
        return sum(values) / len(values) if values else None

    def aggregate(self, rows: Any, specs: Any, rule: str) -> Summary:
        values = [value for row in rows if (value := self.score(row.atoms, None, rule)) is not None]
        atoms = [atom for row in rows for atom in row.atoms]
        seen = sum(atom.status == "ok" for atom in atoms)
        return Summary(
            metric="yes",
            rule=rule,
            judge="",
            mean=100 * sum(values) / len(values) if values else None,
            prompts=tuple(PromptScore(prompt_id=row.prompt_id, value=1.0) for row in rows),
            coverage=seen / len(atoms) if atoms else 1.0,
        )


class FailureIsNo(Judge):
    def score(self, atoms: Any, spec: Any, rule: str) -> float | None:
        return sum(atom.value or 0 for atom in atoms) / len(atoms) if atoms else None


class Percent(Judge):
    def score(self, atoms: Any, spec: Any, rule: str) -> float | None:
        value = super().score(atoms, spec, rule)
        return None if value is None else 100 * value


class HidesFailures(Judge):
    def aggregate(self, rows: Any, specs: Any, rule: str) -> Summary:
        return attrs.evolve(super().aggregate(rows, specs, rule), coverage=1.0)


def test_evaluators(tmp_path: Path) -> None:
    assert check_evaluator(Judge, None, items=items(tmp_path), workdir=tmp_path).mean == 50
    cases = (
        (FailureIsNo, "must score None"),
        (Percent, "outside of info.range"),
        (HidesFailures, "lower the coverage"),
    )
    for evaluator, message in cases:
        with fails(message):
            check_evaluator(evaluator, None, items=items(tmp_path), workdir=tmp_path)


class Runner:
    slots = 1

    def __init__(self, options: Any) -> None:
        self.options = options

    def submit(self, job: Any, on_event: Callable[..., None]) -> Future[Receipt]:
        future: Future[Receipt] = Future()
        self.finish(future)
        return future

    def finish(self, future: Future[Receipt]) -> None:
        future.set_result(Receipt(fingerprint="0", outcome="failed", seconds=0.0, error="no such job"))

    def close(self) -> None:
        """Nothing to end."""


class Raising(Runner):
    def finish(self, future: Future[Receipt]) -> None:
        future.set_exception(KeyError("kind"))


class Watcher:
    def __init__(self, options: Any) -> None:
        self.seen: list[str] = []

    def on_event(self, event: Any) -> None:
        self.seen.append(type(event).__name__)


class Picky(Watcher):
    def on_event(self, event: Any) -> None:
        self.seen.append(event.run_id)


def test_executors_and_trackers() -> None:
    check_executor(Runner, None)
    with fails("must give a Receipt, not raise KeyError"):
        check_executor(Raising, None)
    check_tracker(Watcher, None)
    with fails("ignore the events you do not know"):
        check_tracker(Picky, None)
    with fails("lacks 'on_event'"):
        check_tracker(Runner, None)

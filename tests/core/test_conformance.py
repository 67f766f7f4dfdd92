"""The conformance kit passes good plugins and tells the authors of bad ones what to change."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import attrs
import pytest

from selma_core.data import (
    Atom,
    ChatReply,
    ImageItem,
    ItemAtoms,
    MetricInfo,
    Prompt,
    PromptBatch,
    PromptScore,
    Summary,
)
from selma_core.kinds import KINDS
from selma_core.options import option, positive
from selma_core.protocols import Embeddings, Receipt, TrainedAdapter
from selma_core.records import MergeStrategyRecord
from selma_core.testing import (
    CHECKS,
    ConformanceError,
    FakeContext,
    check_adapter_trainer,
    check_chat_model,
    check_evaluator,
    check_executor,
    check_image_generator,
    check_merge_strategy,
    check_plugin,
    check_prompt_source,
    check_record,
    check_selector,
    check_text_encoder,
    check_tracker,
)
from tests.core.support import MERGE, MakeDistribution


def fails(message: str) -> Any:
    return pytest.raises(ConformanceError, match=message)


def items(tmp_path: Path) -> list[ImageItem]:
    return [
        ImageItem(item_id=f"p{n}-{k}", prompt=Prompt(id=f"p{n}", text="x"), path=tmp_path, sha256="0" * 64, k=k, seed=n)
        for n in range(2)
        for k in range(2)
    ]


def test_there_is_a_check_for_every_kind() -> None:
    assert set(CHECKS) == {kind.name for kind in KINDS}


# --- records ------------------------------------------------------------------------------------------------


def record(**changes: Any) -> MergeStrategyRecord:
    return MergeStrategyRecord(**{"name": "m", "summary": "one line", "factory": "a.b:C", **changes})


def test_records() -> None:
    check_record(record())
    with fails("summary must be one line"):
        check_record(record(summary="two\nlines"))
    with fails("revision counts from 1"):
        check_record(record(revision=0))


DATA = """
from pathlib import Path
from selma_core.hookspecs import hookimpl
from selma_core.records import RegistrySourceRecord

@hookimpl
def selma_registry_sources():
    yield RegistrySourceRecord(name="acme", path=Path(__file__).parent)
"""


def test_options_need_help_and_allowed_defaults() -> None:
    @attrs.frozen
    class Silent:
        part: float = option(0.5)

    @attrs.frozen
    class Refused:
        part: float = option(-1.0, help="h", check=positive)

    with fails("option 'part' needs a help text"):
        check_record(record(options=Silent))
    with fails("default is refused by its own check: must be above 0"):
        check_record(record(options=Refused))


def test_plugin_of_a_distribution(make_distribution: MakeDistribution) -> None:
    make_distribution("acme", {"first": MERGE})
    assert [offer.name for offer in check_plugin("acme")] == ["first"]
    make_distribution("broken-dist", {"bad": "import nothing_like_this"})
    with fails("is quarantined: ModuleNotFoundError"):
        check_plugin("broken-dist")
    with fails("no plugin of 'absent' was found"):
        check_plugin("absent")


def test_plugin_that_only_brings_registry_data(make_distribution: MakeDistribution) -> None:
    make_distribution("acme", {"data": DATA})
    assert check_plugin("acme") == []


def test_plugin_whose_factory_is_missing(make_distribution: MakeDistribution) -> None:
    make_distribution("acme", {"first": MERGE.replace('":First"', '":Frist"')})
    with fails("cannot be imported: AttributeError"):
        check_plugin("acme")


@pytest.mark.slow  # imports every implementation
def test_bundled_plugins_conform() -> None:
    assert len(check_plugin("selma")) > 10


def test_pytest_option(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text(MERGE)
    bad.write_text(MERGE.replace('help="share of the first expert"', 'help=""'))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    command += ["--selma-check", str(good), "--selma-check", str(bad)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "2 passed" in done.stdout
    assert "2 failed" in done.stdout
    assert "option 'part' needs a help text" in done.stdout


def test_fixture(selma_context: FakeContext, tmp_path: Path) -> None:
    assert selma_context.workdir == tmp_path


# --- prompts and chat ---------------------------------------------------------------------------------------


class Source:
    """Four batches of one prompt each."""

    def __init__(self, options: Any) -> None:
        self.state = 0

    def prompts(self, job: Any) -> Any:
        for index in range(len(job.done), 4):
            yield PromptBatch(accepted=(Prompt(id=f"p{index}", text=f"text {index} {job.context.seed}"),))


class Forgets(Source):
    def prompts(self, job: Any) -> Any:
        for index in range(4 - len(job.done)):
            yield PromptBatch(accepted=(Prompt(id=f"p{index}", text="t"),))


class Repeats(Source):
    def prompts(self, job: Any) -> Any:
        yield PromptBatch(accepted=(Prompt(id="p", text="a"), Prompt(id="p", text="b")))


class Random(Source):
    calls = 0

    def prompts(self, job: Any) -> Any:
        Random.calls += 1
        yield PromptBatch(accepted=(Prompt(id="p", text=f"{Random.calls}"),))


@pytest.mark.parametrize(
    ("source", "message"),
    [(Forgets, "resumed after 1 batches"), (Repeats, "prompt id 'p' repeats"), (Random, "gave other prompts")],
)
def test_bad_prompt_source(source: Any, message: str, tmp_path: Path) -> None:
    with fails(message):
        check_prompt_source(source, None, workdir=tmp_path)


def test_good_prompt_source(tmp_path: Path) -> None:
    assert len(check_prompt_source(Source, None, workdir=tmp_path)) == 4


class Chat:
    identity = "echo"

    def __init__(self, options: Any) -> None:
        self.options = options

    def reply(self, requests: Any) -> Any:
        return [self.one(request) for request in requests]

    def one(self, request: Any) -> ChatReply:
        return ChatReply(text=request.messages[-1].text)


class Short(Chat):
    def reply(self, requests: Any) -> Any:
        return super().reply(requests)[:1]


class Reversed(Chat):
    def reply(self, requests: Any) -> Any:
        return super().reply(requests)[::-1]


class TextAndError(Chat):
    def one(self, request: Any) -> ChatReply:
        return ChatReply(text="no", error="timeout")


def test_chat_models() -> None:
    check_chat_model(Chat, None)
    for model, message in ((Short, "gave 1 replies"), (Reversed, "check the order"), (TextAndError, "no text")):
        with fails(message):
            check_chat_model(model, None)


# --- images -------------------------------------------------------------------------------------------------


class Drawer:
    images_per_prompt = 1

    def __init__(self, options: Any) -> None:
        self.options = options

    def images(self, job: Any) -> Any:
        from PIL import Image

        for index, request in enumerate(job.requests):
            yield request, Image.new("RGB", (2, 2), (self.shade(index, request), 0, 0))

    def shade(self, index: int, request: Any) -> int:
        return int(request.seed % 256)


class BatchSeeded(Drawer):
    def shade(self, index: int, request: Any) -> int:
        return index


class Forgetful(Drawer):
    def images(self, job: Any) -> Any:
        yield from list(super().images(job))[:-1]


class Grey(Drawer):
    def images(self, job: Any) -> Any:
        for request, image in super().images(job):
            yield request, image.convert("L")


def test_image_generators(tmp_path: Path) -> None:
    check_image_generator(Drawer, None, workdir=tmp_path)
    cases = ((BatchSeeded, "order of the requests"), (Forgetful, "left out"), (Grey, "mode RGB"))
    for generator, message in cases:
        with fails(message):
            check_image_generator(generator, None, workdir=tmp_path)


class Encoder:
    def __init__(self, options: Any) -> None:
        self.options = options

    def encode(self, pipeline: Any, prompts: Any) -> Embeddings:
        import torch

        rows = [torch.full((3, 4), float(len(prompt))) for prompt in prompts]
        return Embeddings(hidden=torch.stack(rows), mask=self.mask(len(prompts)))

    def mask(self, count: int) -> Any:
        return None


class WrongMask(Encoder):
    def mask(self, count: int) -> Any:
        import torch

        return torch.ones(count, 3)


def test_text_encoders() -> None:
    check_text_encoder(Encoder, None, pipeline=None)
    with fails("mask must be bool"):
        check_text_encoder(WrongMask, None, pipeline=None)


class Best:
    def __init__(self, options: Any) -> None:
        self.options = options

    def select(self, job: Any) -> Any:
        return [(item, {"why": "first"}) for item in job.items if item.k == 0]


class Inventor(Best):
    def select(self, job: Any) -> Any:
        return [(attrs.evolve(job.items[0], item_id="other"), {})]


def test_selectors(tmp_path: Path) -> None:
    given = items(tmp_path)
    scores: dict[str, dict[str, float | None]] = {"dsg": {item.item_id: 1.0 for item in given}}
    check_selector(Best, None, items=given, scores=scores, workdir=tmp_path)
    with fails("was no candidate"):
        check_selector(Inventor, None, items=given, scores=scores, workdir=tmp_path)


# --- adapters -----------------------------------------------------------------------------------------------


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

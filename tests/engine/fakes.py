"""Plugins in a single file for the engine's tests: tiny, real in form, and they count what they do.

Every piece of work appends a line to `$FAKE_LOG`; `$FAKE_STOP` = "stage:n" makes the process kill itself by SIGKILL
before the n-th piece of that stage (of "any" stage), `$FAKE_FAIL` = "stage[:text]" makes it raise.
"""

from __future__ import annotations

import json
import os
import signal
import time
import zlib
from pathlib import Path

import attrs

from selma_core import hookimpl
from selma_core.data import Atom, ItemAtoms, MetricInfo, Prompt, PromptBatch, PromptScore, Rejected, Summary
from selma_core.options import Slot, component, entry, option, positive
from selma_core.pool import ModelKey
from selma_core.records import (
    AdapterTrainerRecord,
    ChatModelRecord,
    EvaluatorRecord,
    ImageGeneratorRecord,
    MergeStrategyRecord,
    PromptSourceRecord,
    SelectorRecord,
    TrackerRecord,
)

_counts = {}


def work(stage, what):
    """Notes a piece of work; dies or raises if the test asked for it."""
    _counts[stage] = _counts.get(stage, 0) + 1
    wanted, _, number = os.environ.get("FAKE_STOP", "").partition(":")
    done = sum(_counts.values()) if wanted == "any" else _counts[stage]
    if wanted in (stage, "any") and done == int(number):
        os.kill(os.getpid(), signal.SIGKILL)
    failing, _, text = os.environ.get("FAKE_FAIL", "").partition(":")
    if failing == stage and text in what:
        raise RuntimeError(f"{what} is broken\non purpose")
    time.sleep(float(os.environ.get("FAKE_SLEEP", "0")))
    log = os.environ.get("FAKE_LOG")
    if log:
        with open(log, "a") as file:
            file.write(f"{stage} {what} {os.getpid()}\n")


@attrs.frozen(kw_only=True)
class PromptsOptions:
    skill: str = option("", help="skill")
    n: int = option(4, help="how many", check=positive)
    batch_size: int = option(2, help="per batch", changes_results=False)
    clash: bool = option(False, help="give every prompt one id")


class Prompts:
    def __init__(self, options):
        self.options = options

    def prompts(self, job):
        have = sum(len(batch.accepted) for batch in job.done)
        for first in range(have, self.options.n, self.options.batch_size):
            batch = range(first, min(first + self.options.batch_size, self.options.n))
            work("prompts", f"{self.options.skill}-{first}")
            skill = self.options.skill
            names = {i: "same" if self.options.clash else f"{skill or 'p'}-{i}" for i in batch}
            yield PromptBatch(
                accepted=tuple(
                    Prompt(id=names[i], text=f"{i} cats \u2028 “{skill}”", skill=skill, meta={"i": i}) for i in batch
                ),
                rejected=tuple(
                    Rejected(text=f"cats {i}", reason="rouge", detail="like 0") for i in batch if i % 2 == 0
                ),
            )
        job.context.warn(f"made {self.options.n}")


@attrs.frozen(kw_only=True)
class ImagesOptions:
    k: int = option(1, help="per prompt")
    shade: int = option(0, help="red")
    model: str = entry("models", "", help="a model")
    batch_size: int = option(3, help="at once", changes_results=False)


class Images:
    def __init__(self, options):
        self.options = options

    @property
    def images_per_prompt(self):
        return self.options.k

    def images(self, job):
        from PIL import Image

        # 16 bits of the adapter over two colours, so that the means of two adapters do not meet by chance.
        extra = 0 if job.adapter is None else zlib.crc32(job.adapter.read_bytes()) % 65536
        for done, request in enumerate(job.requests):
            work("images", request.file_name)
            green, blue = divmod((256 * request.seed + extra) % 65536, 256)
            colour = (self.options.shade, green, blue)
            image = Image.new("RGB", (8, 8), colour)
            image.info["comment"] = f"drawn at {time.time()}"
            yield request, image
            job.context.progress(done + 1, len(job.requests), "drawing")


@attrs.frozen(kw_only=True)
class TrainOptions:
    steps: int = option(5, help="steps")


class Train:
    """A walk whose state is kept in the working folder after each step."""

    def __init__(self, options):
        self.options = options

    def train(self, job):
        import torch

        from selma_core.protocols import TrainedAdapter

        state = job.context.workdir / "state.json"
        value, curve = json.loads(state.read_text()) if state.exists() else (1.0, [])
        for step in range(len(curve), self.options.steps):
            work("train", str(step))
            value = value * 0.9 + len(job.images) * 0.01 + job.context.seed
            curve.append({"step": step, "loss": value})
            part = state.with_suffix(".part")
            part.write_text(json.dumps([value, curve]))
            part.replace(state)
            job.context.progress(step + 1, self.options.steps)
        name = "unet.mid.to_q"
        tensors = {f"{name}.lora_A.weight": torch.full((2, 4), value), f"{name}.lora_B.weight": torch.ones(4, 2)}
        return TrainedAdapter(tensors=tensors, metadata={"base": "fake", "rank": 2}, curve=tuple(curve))


@attrs.frozen(kw_only=True)
class MergeOptions:
    scale: float = option(1.0, help="of the sum")


class Merge:
    def __init__(self, options):
        self.options = options

    def weights(self, count, base):
        return (self.options.scale / count,) * count

    def merge_layer(self, job):
        import torch

        from selma_core.protocols import Factors

        work("merge", job.name)
        up = torch.cat([w * e.up for w, e in zip(job.weights, job.experts, strict=True)], dim=1)
        return Factors(up=up, down=torch.cat([e.down for e in job.experts]))


class First:
    """Keeps the best image of each prompt by the metric `light`, else the first."""

    def __init__(self, options):
        pass

    def select(self, job):
        best = {}
        values = job.scores.get("light", {})
        for item in job.items:
            value = values.get(item.item_id) or 0.0
            if item.prompt.id not in best or value > best[item.prompt.id][1]:
                best[item.prompt.id] = (item, value)
        return [(item, {"value": value}) for item, value in best.values()]


@attrs.frozen(kw_only=True)
class EvaluateOptions:
    judge: Slot = component("chat_model", Slot("fake_judge"), help="who judges")


class Evaluate:
    def __init__(self, options):
        self.options = options

    @property
    def info(self):
        return MetricInfo(name="light", judge=self.options.judge.use, rules=("official", "square"))

    def prepare(self, prompts, context):
        return {prompt.id: {"skill": prompt.skill} for prompt in prompts}

    def observe(self, items, specs, context):
        from PIL import Image

        judge = context.component("chat_model", self.options.judge)
        assert judge is context.component("chat_model", self.options.judge)
        assert judge.context is context
        judge.reply([])
        for item in items:
            work("scores", item.item_id)
            red, green, blue = Image.open(item.path).getpixel((0, 0))
            atom = Atom(key="light", value=(256 * green + blue) / 65535, raw=judge.identity, data={"red": red})
            yield ItemAtoms(
                item_id=item.item_id, prompt_id=item.prompt.id, k=item.k, atoms=(atom, Atom(key="one", value=1))
            )

    def score(self, atoms, spec, rule):
        value = atoms[0].value
        return None if value is None else value**2 if rule == "square" else value

    def aggregate(self, rows, specs, rule):
        per_prompt = {}
        for row in rows:
            per_prompt.setdefault(row.prompt_id, []).append(self.score(row.atoms, None, rule))
        prompts = tuple(
            PromptScore(prompt_id=name, value=sum(values) / len(values), per_image=tuple(values))
            for name, values in per_prompt.items()
        )
        mean = 100 * sum(prompt.value for prompt in prompts) / len(prompts)
        return Summary(
            metric="light", rule=rule, judge="", mean=mean, prompts=prompts, n_prompts=len(prompts), n_images=len(rows)
        )


@attrs.frozen(kw_only=True)
class JudgeOptions:
    strict: bool = option(True, help="strictness")
    weights: str = option("", help="name of a model that it loads and shares")
    api_key_env: str = option("KEY", help="variable", changes_results=False)
    remote: bool = option(False, help="a server that wants a key", changes_results=False)

    def needs(self):
        if self.remote and not os.environ.get(self.api_key_env):
            yield "api_key_env", f"the environment variable {self.api_key_env} holds no key; type: export it"


class Judge:
    identity = "fake_judge"

    def __init__(self, options):
        self.options = options
        self.context = None

    def attach(self, context):
        self.context = context

    def reply(self, requests):
        if self.options.weights:
            self.model = self.context.model(ModelKey(loader="fake", pin=self.options.weights), self.load)
        return []

    def load(self):
        work("load", self.options.weights)
        return Model(self.options.weights)


class Model:
    """What a judge loads."""

    def __init__(self, name):
        self.name = name


class Track:
    def __init__(self, options):
        pass

    def on_event(self, event):
        log = os.environ.get("FAKE_TRACK")
        if log:
            with open(log, "a") as file:
                file.write(f"{type(event).__name__}\n")
        if os.environ.get("FAKE_TRACK_FAIL"):
            raise RuntimeError("tracker is broken")


STEM = Path(__file__).stem


@hookimpl
def selma_prompt_sources():
    yield PromptSourceRecord(name="fake_prompts", summary="x", factory=f"{STEM}:Prompts", options=PromptsOptions)


@hookimpl
def selma_image_generators():
    yield ImageGeneratorRecord(name="fake_images", summary="x", factory=f"{STEM}:Images", options=ImagesOptions)


@hookimpl
def selma_adapter_trainers():
    yield AdapterTrainerRecord(name="fake_train", summary="x", factory=f"{STEM}:Train", options=TrainOptions)


@hookimpl
def selma_merge_strategies():
    yield MergeStrategyRecord(name="fake_merge", summary="x", factory=f"{STEM}:Merge", options=MergeOptions)


@hookimpl
def selma_selectors():
    yield SelectorRecord(name="fake_first", summary="x", factory=f"{STEM}:First")


@hookimpl
def selma_evaluators():
    yield EvaluatorRecord(name="fake_light", summary="x", factory=f"{STEM}:Evaluate", options=EvaluateOptions)


@hookimpl
def selma_chat_models():
    yield ChatModelRecord(name="fake_judge", summary="x", factory=f"{STEM}:Judge", options=JudgeOptions)
    yield ChatModelRecord(name="fake_other_judge", summary="x", factory=f"{STEM}:Judge", options=JudgeOptions)


@hookimpl
def selma_trackers():
    yield TrackerRecord(name="fake_track", summary="x", factory=f"{STEM}:Track")

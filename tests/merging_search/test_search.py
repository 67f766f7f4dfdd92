"""`search`: finds weights on held-out prompts, races on common noise, goes on after a kill, leaves its trace."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from selma_plugins.merging.linear import Linear
from selma_plugins.merging_search.options import SearchOptions
from selma_plugins.merging_search.racing import race, sizes
from selma_plugins.merging_search.search import Search

from selma_core.artifacts.adapter import adapter_file, read_layers, write_adapter
from selma_core.data import Atom, ImageItem, ImageRequest, ItemAtoms, MetricInfo, Prompt, PromptBatch
from selma_core.errors import UserError
from selma_core.merging.options import MergeOptions
from selma_core.options import Slot
from selma_core.protocols import FitJob, Fitted, ImageJob, PromptJob, TrainedAdapter
from selma_core.testing import FakeContext, Interrupted

BEST = (0.8, -0.3)
SLOTS = {"prompts": Slot("some"), "generator": Slot("some"), "evaluator": Slot("some")}


class Prompts:
    def prompts(self, job: PromptJob) -> Iterator[PromptBatch]:
        yield PromptBatch(accepted=tuple(Prompt(id=f"p{i}", text=str(i)) for i in range(16)))


class Draws:
    """Draws a gray that falls with the distance of the merged weights from `BEST`; prompts differ in their light."""

    images_per_prompt = 1

    def __init__(self) -> None:
        self.drawn = 0

    def images(self, job: ImageJob) -> Iterator[tuple[ImageRequest, Image.Image]]:
        assert job.adapter is not None
        factors = read_layers(job.adapter).factors("unet.x")
        delta = factors.up @ factors.down
        distance = math.dist((float(delta[0, 0]), float(delta[1, 1])), BEST)
        for request in job.requests:
            self.drawn += 1
            light = 0.7 + 0.3 * (request.seed % 1000) / 1000
            value = round(255 * light * math.exp(-(distance**2)))
            yield request, Image.new("RGB", (4, 4), (value,) * 3)


class Bright:
    info = MetricInfo(name="bright", rules=("mean", "half"))

    def prepare(self, prompts: Sequence[Prompt], context: Any) -> Mapping[str, Any]:
        return {prompt.id: {} for prompt in prompts}

    def observe(self, items: Sequence[ImageItem], specs: Any, context: Any) -> Iterator[ItemAtoms]:
        for item in items:
            with Image.open(item.path) as image:
                value = image.getpixel((0, 0))[0] / 255  # type: ignore[index]
            atom = Atom(key="v", value=value)
            yield ItemAtoms(item_id=item.item_id, prompt_id=item.prompt.id, k=item.k, atoms=(atom,))

    def score(self, atoms: Sequence[Atom], spec: Any, rule: str) -> float | None:
        return float(atoms[0].value) * (0.5 if rule == "half" else 1.0)  # type: ignore[arg-type]

    def aggregate(self, rows: Any, specs: Any, rule: str) -> Any:
        raise NotImplementedError


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, ...]:
    found = []
    for place in range(2):
        folder = tmp_path / f"expert{place}"
        folder.mkdir()
        one = torch.zeros(3, 1)
        one[place] = 1.0
        tensors = {"unet.x.lora_A.weight": one.T.contiguous(), "unet.x.lora_B.weight": one}
        write_adapter(folder, TrainedAdapter(tensors=tensors))
        found.append(adapter_file(folder))
    return tuple(found)


def context(workdir: Path, generator: Draws, stop: int | None = None, evaluator: Any = None) -> FakeContext:
    workdir.mkdir(exist_ok=True)
    components = {
        ("prompt_source", "some"): Prompts(),
        ("image_generator", "some"): generator,
        ("evaluator", "some"): evaluator or Bright(),
        ("merge_strategy", "linear"): Linear(MergeOptions()),
    }
    return FakeContext(workdir=workdir, components=components, interrupt_after=stop)


def fit(files: tuple[Path, ...], where: FakeContext, **options: Any) -> Fitted:
    strategy = Search(SearchOptions(**SLOTS, **options))
    return strategy.fit(FitJob(context=where, files=files, expert_ids=("a", "b"), base="tiny"))


def test_it_finds_the_weights_and_beats_the_mean(files: tuple[Path, ...], tmp_path: Path) -> None:
    generator = Draws()
    found = fit(files, context(tmp_path / "w", generator), generations=12, penalty=0.0)
    assert math.dist(found.weights, BEST) < 0.15
    record = found.record["search"]
    assert record["best_value"] > record["mean_value"] + 0.1
    # Racing: a fraction of what measuring every candidate on every prompt would cost.
    assert record["images_drawn"] == generator.drawn
    assert generator.drawn < 0.6 * record["images_without_racing"]
    best = [row["best"] for row in found.trace]
    assert best == sorted(best)
    assert found.trace[0]["w0"] == found.trace[0]["w1"] == 0.5


def test_the_same_seed_gives_the_same_search_also_after_a_kill(files: tuple[Path, ...], tmp_path: Path) -> None:
    whole = fit(files, context(tmp_path / "whole", Draws()), generations=4)
    with pytest.raises(Interrupted):
        fit(files, context(tmp_path / "killed", Draws(), stop=2), generations=4)
    journal = tmp_path / "killed" / "measured.jsonl"
    journal.write_bytes(journal.read_bytes()[:-7])  # killed while it wrote: the last row is half a row
    again = Draws()
    resumed = fit(files, context(tmp_path / "killed", again), generations=4)
    assert (resumed.weights, resumed.trace) == (whole.weights, whole.trace)
    assert again.drawn < whole.record["search"]["images_drawn"]


def test_the_penalty_keeps_weights_small(files: tuple[Path, ...], tmp_path: Path) -> None:
    free = fit(files, context(tmp_path / "free", Draws()), generations=6, penalty=0.0)
    bound = fit(files, context(tmp_path / "bound", Draws()), generations=6, penalty=2.0)
    assert sum(map(abs, bound.weights)) < sum(map(abs, free.weights))


def test_what_cannot_be_searched_is_one_line(files: tuple[Path, ...], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs the option 'prompts'"):
        Search(SearchOptions(prompts=Slot(), generator=Slot("some"), evaluator=Slot("some"))).fit(
            FitJob(context=context(tmp_path, Draws()), files=files, expert_ids=("a", "b"), base="")
        )
    with pytest.raises(UserError, match=r"no rule 'halv'.*half"):
        fit(files, context(tmp_path, Draws()), rule="halv")
    lower = Bright()
    lower.info = MetricInfo(name="loss", higher_is_better=False)
    with pytest.raises(UserError, match="'loss' is not one"):
        fit(files, context(tmp_path, Draws(), evaluator=lower))
    with pytest.raises(UserError, match="in a run"):
        Search(SearchOptions(**SLOTS)).weights(2, "tiny")


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12), st.integers(1, 40))
def test_without_noise_a_race_ranks_the_winner_first(values: list[float], total: int) -> None:
    candidates = [(float(i),) for i in range(len(values))]
    costs, laps = race(candidates, lambda w, n: values[int(w[0])], sizes(total, [0.25, 0.5, 1.0]))
    assert sorted(costs) == list(range(len(values)))
    assert values[costs.index(0)] == max(values)
    assert sum(lap.prompts for lap in laps) <= len(values) * total + 2 * len(values) * total
    assert max(lap.prompts for lap in laps) == total


def test_rungs_grow_to_all_prompts() -> None:
    assert sizes(16, [0.25, 0.5, 1.0]) == [4, 8, 16]
    assert sizes(3, [0.1]) == [1, 3]
    assert sizes(1, [0.25, 0.5]) == [1]

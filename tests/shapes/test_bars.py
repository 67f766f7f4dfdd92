"""What the bundled models must be able to do, on the whole benchmark at the guidance that validation chose."""

from pathlib import Path
from statistics import fmean

import diffusers
import pytest
import selma_registry
import torch
from selma_plugins.shapes.grammar import benchmark_prompts
from selma_plugins.shapes.train.evaluate import Marks, draw, marks_of

WEIGHTS = Path(next(iter(selma_registry.__path__))) / "models" / "weights"
GUIDANCE, STEPS = 4.0, 15


def pipeline(name: str) -> diffusers.StableDiffusionPipeline:
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(WEIGHTS / name, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def marks(name: str) -> Marks:
    prompts, pipe = benchmark_prompts(), pipeline(name)
    return marks_of(prompts, draw(pipe, [prompt.text for prompt in prompts], GUIDANCE, STEPS))


@pytest.mark.slow  # 650 images
def test_the_base_leaves_room_and_the_small_one_is_far_below() -> None:
    base, small = marks("shapes_base"), marks("shapes_small")
    assert 60 <= fmean(base["dsg"]) <= 88
    assert fmean(small["dsg"]) <= fmean(base["dsg"]) - 8


@pytest.mark.slow  # 175 images
def test_the_base_draws_one_object_right() -> None:
    alone = [p for p in benchmark_prompts() if len(p.spec.groups) == 1 and p.spec.groups[0].count == 1]
    pipe, found = pipeline("shapes_base"), []
    for seed in range(5):
        found += marks_of(alone, draw(pipe, [p.text for p in alone], GUIDANCE, STEPS, seed=1000 * seed))["single"]
    assert len(found) == 5 * len(alone) >= 150
    assert fmean(found) >= 90

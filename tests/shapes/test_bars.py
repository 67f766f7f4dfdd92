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


def marks(name: str) -> Marks:
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(WEIGHTS / name, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    prompts = benchmark_prompts()
    return marks_of(prompts, draw(pipe, [prompt.text for prompt in prompts], GUIDANCE, STEPS))


@pytest.mark.slow  # 650 images
def test_the_base_leaves_room_and_the_small_one_is_far_below() -> None:
    base, small = marks("shapes_base"), marks("shapes_small")
    assert 60 <= fmean(base["dsg"]) <= 88
    assert fmean(small["dsg"]) <= fmean(base["dsg"]) - 8
    assert fmean(base["single"]) >= 90  # every question on a prompt of one object right

"""The generator: every prompt, a seed each, and nothing depends on how the work is cut."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from selma_core.errors import UserError
from tests.images.conftest import FAMILIES
from tests.tiny_stage import requests


def test_defect_03_ten_prompts_in_batches_of_four_give_ten_images(draw: Any) -> None:
    asked = requests(10)
    drawn = draw(asked, lanes=4, batch_size=4)
    assert list(drawn) == [request.file_name for request in asked]
    assert len(set(drawn.values())) == 10


def test_defect_04_two_runs_are_byte_identical(draw: Any) -> None:
    assert draw(requests(4)) == draw(requests(4))


def test_defect_04_the_batch_size_changes_nothing(draw: Any) -> None:
    asked = requests(7)
    whole = draw(asked, batch_size=1)
    assert draw(asked, batch_size=3) == whole
    assert draw(asked, batch_size=64) == whole


def test_defect_04_another_seed_gives_another_image(draw: Any) -> None:
    first, other = draw(requests(2)), draw(requests(2, seed=1))
    assert list(first) == list(other)
    assert all(first[name] != other[name] for name in first)


@pytest.mark.parametrize("family", FAMILIES)
def test_order_company_and_resume_change_no_byte(draw: Any, family: str) -> None:
    """What a kill leaves to draw comes in other groups, at other places, beside other images."""
    asked = requests(5)
    whole = draw(asked, family)
    rest = draw(asked[4:0:-1], family)
    assert all(whole[name] == image for name, image in rest.items())
    assert len(rest) == 4


def test_the_same_with_two_threads(draw: Any) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        asked = requests(5)
        whole, rest = draw(asked), draw(asked[4:0:-1])
    finally:
        torch.set_num_threads(before)
    assert all(whole[name] == image for name, image in rest.items())


@pytest.mark.parametrize("family", FAMILIES)
def test_an_image_is_what_plain_diffusers_draws(draw: Any, plain: Any, family: str) -> None:
    """Embeddings, pooled embeddings, masks and the unconditional ones arrive where the class expects them."""
    import io

    import numpy as np
    from PIL import Image

    (asked,) = requests(1)
    (mine,) = draw((asked,), family, lanes=1).values()
    arguments: dict[str, Any] = {"num_inference_steps": 2, "height": 16, "width": 16}
    if family == "pixart":
        arguments |= {"use_resolution_binning": False, "clean_caption": False}
    seed = torch.Generator("cpu").manual_seed(asked.seed)
    theirs = np.asarray(plain(family)(asked.prompt.text, generator=seed, **arguments).images[0]).astype(int)
    difference = np.abs(np.asarray(Image.open(io.BytesIO(mine))).astype(int) - theirs)
    # Guided classes run the pair in one batch in both cases; rounding to bytes may still differ by one.
    assert difference.max() <= 1


def test_guidance_and_negative_prompt_matter(draw: Any) -> None:
    asked = requests(1)
    plain = draw(asked, guidance=5.0)
    assert draw(asked, guidance=1.0) != plain
    assert draw(asked, guidance=5.0, negative_prompt="a hat") != plain


def test_scheduler_by_name(draw: Any) -> None:
    asked = requests(2)
    swapped = draw(asked, scheduler="EulerDiscreteScheduler", scheduler_options={"timestep_spacing": "trailing"})
    assert swapped != draw(asked)
    stochastic = draw(asked, scheduler="EulerAncestralDiscreteScheduler")
    assert draw(asked[::-1], scheduler="EulerAncestralDiscreteScheduler") == stochastic


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"scheduler": "DDIMSchedular"}, None),
        ({"scheduler": "DDMScheduler"}, "did you mean 'DDPMScheduler'"),
        ({"scheduler_options": {"beta_strat": 1}}, "did you mean 'beta_start'"),
        ({"call_options": {"guidance_rescal": 0.5}}, "did you mean 'guidance_rescale'"),
        ({"call_options": {"prompt": "x"}}, "takes no call option 'prompt'"),
    ],
)
def test_wrong_names_are_one_line(draw: Any, options: dict[str, Any], line: str | None) -> None:
    with pytest.raises((UserError, ValueError)) as caught:
        draw(requests(1), **options)
    assert "\n" not in str(caught.value)
    assert line is None or line in str(caught.value)


def test_prompts_that_are_cut_are_counted(models: Any) -> None:
    from selma_plugins.diffusion.embeddings import warn_cut
    from transformers import CLIPTokenizer

    pipeline = SimpleNamespace(tokenizer=CLIPTokenizer.from_pretrained(models("sd") / "tokenizer"))
    lines: list[str] = []
    warn_cut(pipeline, ["a cat", "a cat"], lines.append)
    assert lines == []
    warn_cut(pipeline, ["a cat", "two cats and a very long red hat"], lines.append)
    (line,) = lines
    assert line == (
        "1 of 2 prompts are cut: 11 tokens have no effect "
        "(first: 'two cats and a very long red hat', 14 tokens of 25 used); the text encoder 'chunked' reads on"
    )


def test_no_request_loads_nothing(draw: Any) -> None:
    assert draw((), model="/no/such/folder") == {}

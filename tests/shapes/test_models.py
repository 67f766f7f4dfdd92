"""The bundled models load in plain diffusers, and draw what a plain prompt asks for."""

from pathlib import Path

import diffusers
import pytest
import selma_registry
import torch
from selma_plugins.shapes.oracle import answer
from selma_plugins.shapes.perception import perceive

WEIGHTS = Path(next(iter(selma_registry.__path__))) / "models" / "weights"
MEGABYTE = 1_000_000


@pytest.mark.parametrize("name", ["shapes_base", "shapes_small"])
def test_a_model_loads_and_draws(name: str) -> None:
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(WEIGHTS / name, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    noise = torch.Generator().manual_seed(0)
    image = pipe("a red square", num_inference_steps=8, guidance_scale=3.0, generator=noise).images[0]
    assert (image.size, image.mode) == ((64, 64), "RGB")
    assert pipe.tokenizer.model_max_length == 48
    assert pipe.scheduler.config.prediction_type == "v_prediction"


def test_the_base_draws_single_objects() -> None:
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(WEIGHTS / "shapes_base", torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    texts = ["a large red square on a white background", "a large blue circle on a black background"] * 2
    noise = [torch.Generator().manual_seed(seed) for seed in range(4)]
    images = pipe(texts, num_inference_steps=15, guidance_scale=3.0, generator=noise).images
    asked = ["Is the square red?", "Is the circle blue?"] * 2
    assert sum(answer(i, q) == "yes" for i, q in zip(images, asked, strict=True)) >= 3
    assert all(perceive(i).background for i in images)


@pytest.mark.parametrize("name", ["shapes_base", "shapes_small"])
def test_a_folder_is_small_half_precision_and_documented(name: str) -> None:
    from safetensors import safe_open

    folder = WEIGHTS / name
    files = [f for f in folder.rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) < 25 * MEGABYTE
    assert name in (WEIGHTS / "TRAINING.md").read_text()
    for part in ("unet", "vae", "text_encoder"):
        (weights,) = (folder / part).glob("*.safetensors")
        with safe_open(weights, framework="pt") as tensors:
            first = next(iter(tensors.keys()))
            assert tensors.get_tensor(first).dtype == torch.float16


@pytest.mark.parametrize("name", ["shapes_base", "shapes_small"])
def test_a_folder_names_no_path_of_the_machine_that_made_it(name: str) -> None:
    texts = [file.read_text() for file in (WEIGHTS / name).rglob("*.json") if file.name != "tokenizer.json"]
    assert texts
    assert not [text for text in texts if "_name_or_path" in text or '"/' in text]

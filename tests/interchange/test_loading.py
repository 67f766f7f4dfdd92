"""Plain diffusers and plain PEFT load what is written here, and apply exactly its deltas to every layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from selma_core.artifacts.lora_export import export_adapter
from tests.interchange.conftest import open_pipeline
from tests.interchange.samples import Shapes, delta, factors, named, write

ENDS = (".lora_A.weight", ".lora_B.weight")
ALPHA = 6.0


def exported(folder: Path, shapes: Shapes, form: str, family: str) -> Path:
    """A LoRA with alpha 6, ranks 2, 4 and 3, as that form writes it."""
    found = factors(shapes)
    file = write(folder / "source.safetensors", named(found, {layer: layer for layer in found}, ENDS, ALPHA))
    return export_adapter(file, folder / ("out" if form == "peft-dir" else "out.safetensors"), form, family=family).path


def module_of(pipeline: Any, layer: str) -> torch.nn.Module:
    component, path = layer.split(".", 1)
    root = getattr(pipeline, component)
    return root.get_submodule(path if hasattr(root, "text_model") else path.removeprefix("text_model."))


def check(pipeline: Any, before: Any, shapes: Shapes) -> None:
    """Weights after minus weights before are s B A, layer by layer."""
    with torch.no_grad():
        for layer, (down, up) in factors(shapes).items():
            weight, old = module_of(pipeline, layer).weight, module_of(before, layer).weight
            wanted = delta(down, up, ALPHA / down.shape[0]).reshape(weight.shape)
            torch.testing.assert_close(weight - old, wanted, atol=2e-6, rtol=1e-4, msg=layer)


@pytest.mark.parametrize("form", ["diffusers", "kohya"])
@pytest.mark.parametrize(("model", "family"), [("sd", "sd1"), ("sdxl", "sdxl")])
def test_diffusers_loads_every_layer(
    model: str, family: str, form: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """UNet with convolutions and embeddings, both text encoders; SDXL in kohya form with the original block names."""
    folder, shapes = request.getfixturevalue(model), dict(request.getfixturevalue(f"{model}_shapes"))
    if form == "kohya":  # without a LoraConfig, diffusers 0.42 looks at the rank of attention and mlp layers only
        shapes.pop("text_encoder_2.text_projection", None)
    pipeline = open_pipeline(folder)
    file = exported(tmp_path, shapes, form, family)
    pipeline.load_lora_weights(tmp_path, weight_name=file.name)
    pipeline.fuse_lora(components=sorted({layer.split(".", 1)[0] for layer in shapes}))
    pipeline.unload_lora_weights()
    check(pipeline, open_pipeline(folder), shapes)


@pytest.mark.parametrize("model", ["sd", "sdxl"])
def test_peft_loads_every_layer(model: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder, shapes = request.getfixturevalue(model), request.getfixturevalue(f"{model}_shapes")
    pipeline = open_pipeline(folder)
    out = exported(tmp_path, shapes, "peft-dir", "sd1" if model == "sd" else "sdxl")
    for component in sorted({layer.split(".", 1)[0] for layer in shapes}):
        loaded = PeftModel.from_pretrained(getattr(pipeline, component), out / component)
        setattr(pipeline, component, loaded.merge_and_unload())
    check(pipeline, open_pipeline(folder), shapes)

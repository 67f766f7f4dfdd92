"""Fusing into a folder equals diffusers' `load_lora_weights` and `fuse_lora`; nothing else of the folder changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from selma_core.adapters.fuse import fuse_folder
from selma_core.adapters.weights import rewrite
from selma_core.artifacts.lora_export import export_adapter
from selma_core.artifacts.tensor_reader import TensorReader
from selma_core.errors import ArtifactError, SelmaError
from tests.interchange.conftest import open_pipeline
from tests.interchange.samples import Shapes, factors, named, write

ENDS = (".lora_A.weight", ".lora_B.weight")
COMPONENTS = ("unet", "text_encoder", "text_encoder_2")


def adapter(folder: Path, shapes: Shapes, alpha: float | None = 6.0) -> Path:
    found = factors(shapes)
    return write(folder / "lora.safetensors", named(found, {layer: layer for layer in found}, ENDS, alpha))


def weights(pipeline: Any) -> dict[str, torch.Tensor]:
    modules = {name: getattr(pipeline, name, None) for name in (*COMPONENTS, "vae")}
    return {f"{n}.{k}": v for n, one in modules.items() if one is not None for k, v in one.state_dict().items()}


@pytest.mark.parametrize("model", ["sd", "sdxl"])
def test_equals_diffusers(model: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder, shapes = request.getfixturevalue(model), request.getfixturevalue(f"{model}_shapes")
    file = adapter(tmp_path, shapes)
    # diffusers reads the canonical form: the same adapter, its scale folded in and said in its header
    same = export_adapter(file, tmp_path / "canonical.safetensors", "diffusers").path
    oracle = open_pipeline(folder)
    oracle.load_lora_weights(tmp_path, weight_name=same.name)
    oracle.fuse_lora(components=[name for name in COMPONENTS if hasattr(oracle, name)], lora_scale=0.7)
    oracle.unload_lora_weights()
    card = fuse_folder(file, folder, tmp_path / "fused", weight=0.7)
    wanted, found = weights(oracle), weights(open_pipeline(tmp_path / "fused"))
    assert found.keys() == wanted.keys()
    assert max(float((found[name] - wanted[name]).abs().max()) for name in wanted) < 1e-6
    changed = {name for name, value in weights(open_pipeline(folder)).items() if not torch.equal(value, found[name])}
    assert len(changed) == len(shapes) == sum(card["layers"].values())


def test_the_rest_of_the_folder_is_copied(sd: Path, sd_shapes: Shapes, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(sd, model)
    (model / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"pickle")
    (model / "whole.safetensors").write_bytes((sd / "vae/diffusion_pytorch_model.safetensors").read_bytes())
    fuse_folder(adapter(tmp_path, {"unet.conv_in": sd_shapes["unet.conv_in"]}), model, tmp_path / "out")
    names = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    before = {path.relative_to(sd).as_posix() for path in sd.rglob("*") if path.is_file()}
    assert names == before | {"selma_fused.json"}  # no pickled weights, no unfused checkpoint
    same = {name for name in before if (sd / name).read_bytes() == (tmp_path / "out" / name).read_bytes()}
    assert before - same <= {"unet/diffusion_pytorch_model.safetensors"} | {n for n in before if "safetensors" in n}
    old, new = (load_file(path / "unet/diffusion_pytorch_model.safetensors") for path in (sd, tmp_path / "out"))
    assert {name for name in old if not torch.equal(old[name], new[name])} == {"conv_in.weight"}
    vae, copy = (load_file(path / "vae/diffusion_pytorch_model.safetensors") for path in (sd, tmp_path / "out"))
    assert all(torch.equal(vae[name], copy[name]) for name in vae)


def test_half_precision_of_all_weights_rounded_once(sd: Path, sd_shapes: Shapes, tmp_path: Path) -> None:
    layer = {"unet.conv_in": sd_shapes["unet.conv_in"]}
    file = adapter(tmp_path, layer, alpha=None)
    fuse_folder(file, sd, tmp_path / "half", dtype="float16")
    fuse_folder(file, sd, tmp_path / "full")
    for name in ("unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model"):
        half, full = (load_file(tmp_path / kind / f"{name}.safetensors") for kind in ("half", "full"))
        assert all(torch.equal(half[key], full[key].half()) for key in full)
    # a model in half precision keeps its type
    fuse_folder(file, tmp_path / "half", tmp_path / "again", weight=-1.0)
    assert (
        load_file(tmp_path / "again/unet/diffusion_pytorch_model.safetensors")["conv_in.weight"].dtype == torch.float16
    )
    card = json.loads((tmp_path / "again/selma_fused.json").read_text())
    assert (card["weight"], card["layers"]) == (-1.0, {"unet": 1})


def test_rewriting_keeps_what_is_no_float_and_aligns(tmp_path: Path) -> None:
    """Odd counts, narrow types between wide ones: `load_file` refuses numbers that are not aligned."""
    tensors = {"ids": torch.arange(3), "a": torch.ones(3), "small": torch.arange(5, dtype=torch.int32)}
    tensors |= {"flag": torch.tensor([True]), "b": torch.ones(5, dtype=torch.bfloat16), "none": torch.ones(0, 4)}
    save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "pt"})
    reader = TensorReader(tmp_path / "x.safetensors")
    rewrite(reader, tmp_path / "y.safetensors", lambda name: torch.ones(3) if name == "a" else None, "float16")
    found = load_file(tmp_path / "y.safetensors")
    kinds = {name: value.dtype for name, value in found.items()}
    assert kinds == {name: v.dtype if not v.is_floating_point() else torch.float16 for name, v in tensors.items()}
    assert torch.equal(found["a"], torch.full((3,), 2.0, dtype=torch.float16))
    assert torch.equal(found["ids"], tensors["ids"])


def test_a_sum_that_overflows_is_named(tmp_path: Path) -> None:
    save_file({"a": torch.full((2,), 60000.0)}, tmp_path / "x.safetensors")
    with pytest.raises(ArtifactError, match="'a' holds NaN or infinity in float16"):
        rewrite(TensorReader(tmp_path / "x.safetensors"), tmp_path / "y", lambda name: torch.full((2,), 1e4), "float16")


@pytest.mark.parametrize(
    ("layer", "shape", "what"),
    [
        (
            "unet.mid_block.attentions.0.proj_inn",
            (4, 4),
            "the model has no layer 'unet.mid_block.attentions.0.proj_inn'",
        ),
        ("unet.conv_in", (8, 3, 3, 3), r"'unet.conv_in' is \[8, 3, 3, 3\] but the model's is \[8, 4, 3, 3\]"),
        ("text_encoder_2.text_projection", (4, 4), "no safetensors weights of 'text_encoder_2'"),
    ],
)
def test_an_adapter_of_another_model(layer: str, shape: tuple[int, ...], what: str, sd: Path, tmp_path: Path) -> None:
    with pytest.raises(SelmaError, match=what):
        fuse_folder(adapter(tmp_path, {layer: shape}), sd, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"lora.safetensors"}


@pytest.mark.parametrize(
    ("out", "changes", "what"),
    [
        (".", {}, "not empty"),
        ("out", {"dtype": "half"}, "unknown dtype 'half'"),
        ("out", {"weight": float("nan")}, "finite"),
    ],
)
def test_bad_choices(out: str, changes: dict[str, Any], what: str, sd: Path, tmp_path: Path) -> None:
    file = adapter(tmp_path, {"unet.conv_in": (8, 4, 3, 3)})
    with pytest.raises(SelmaError, match=what):
        fuse_folder(file, sd, tmp_path / out, **changes)
    with pytest.raises(SelmaError, match="inside of the model"):
        fuse_folder(file, sd, sd / "fused")
    with pytest.raises(SelmaError, match="no diffusers pipeline"):
        fuse_folder(file, tmp_path, tmp_path / "out")

"""Round trips through every exporter, delta by delta; what the files say; what is refused, and that nothing is lost."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from selma_core.artifacts import lora_export
from selma_core.artifacts.lora_check import delta_error
from selma_core.artifacts.lora_export import FORMS, export_adapter
from selma_core.artifacts.lora_reader import read_layers
from selma_core.errors import ArtifactError, UserError
from selma_core.protocols import Factors
from tests.interchange.samples import RANKS, Shapes, delta, factors, named, write

ENDS = (".lora_A.weight", ".lora_B.weight")
ERRORS = {"float32": 1e-6, "float16": 2e-3, "bfloat16": 1e-2}


def source(folder: Path, shapes: Shapes, alpha: float | None = 7.0, **header: str) -> Path:
    found = factors(shapes)
    return write(folder / "source.safetensors", named(found, {layer: layer for layer in found}, ENDS, alpha), **header)


def target(folder: Path, form: str) -> Path:
    return folder / (form if form == "peft-dir" else f"{form}.safetensors")


CASES = [(model, form, "float32") for model in ("sd_shapes", "sdxl_shapes") for form in FORMS]


@pytest.mark.parametrize(
    ("model", "form", "dtype"), [*CASES, ("sd_shapes", "kohya", "float16"), ("sd_shapes", "comfyui", "bfloat16")]
)
def test_round_trip(model: str, form: str, dtype: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Alpha unlike the rank, mixed ranks, convolutions, text encoders: there and back again."""
    shapes = dict(list(request.getfixturevalue(model).items())[::3])  # test_loading.py has all of them
    found, family = factors(shapes), "sdxl" if model == "sdxl_shapes" else "sd1"
    there = export_adapter(source(tmp_path, shapes), target(tmp_path, form), form, dtype=dtype, family=family)
    export_adapter(there.path, tmp_path / "back.safetensors", "diffusers")
    assert (there.layers, there.family) == (len(shapes), family)
    assert there.max_error < ERRORS[dtype]
    reader = read_layers(tmp_path / "back.safetensors")
    assert reader.names() == sorted(shapes)
    for layer, (down, up) in found.items():
        read, wanted = reader.factors(layer), delta(down, up, 7.0 / down.shape[0])
        assert float((read.up.flatten(1) @ read.down.flatten(1) - wanted).norm() / wanted.norm()) < ERRORS[dtype]


def test_files_are_what_the_programs_expect(sdxl_shapes: Shapes, tmp_path: Path) -> None:
    """Names, types and alphas; `load_file` also fails on numbers that are not aligned."""
    for form in ("kohya", "comfyui"):
        export_adapter(source(tmp_path, sdxl_shapes), target(tmp_path, form), form, dtype="float16")
    kohya, comfyui = (load_file(target(tmp_path, form)) for form in ("kohya", "comfyui"))
    assert {name.split("_")[1] for name in kohya} == {"unet", "te1", "te2"}
    assert not any("_blocks_0_resnets" in name for name in kohya)  # SDXL: the original blocks, as kohya trains it
    assert {value.dtype for name, value in kohya.items() if not name.endswith(".alpha")} == {torch.float16}
    alphas = {(value.dtype, float(value)) for name, value in kohya.items() if name.endswith(".alpha")}
    assert len(alphas) == 1  # also where ranks are mixed: diffusers reads it wrongly otherwise (see test_loading.py)
    assert alphas < {(torch.float32, float(rank)) for rank in RANKS}
    starts = {name.partition(".")[0] for name in comfyui}
    assert starts == {"diffusion_model", "text_encoders"}
    assert not any(name.endswith("alpha") for name in comfyui)
    assert any(name.startswith("text_encoders.clip_g.transformer.text_projection.") for name in comfyui)


def header(file: Path) -> dict[str, str]:
    with safe_open(file, framework="pt") as opened:
        return dict(opened.metadata())


def test_kohyas_header(sd_shapes: Shapes, tmp_path: Path) -> None:
    merge = {"base": "hub:a/b", "parents": ["0" * 64], "strategy": "selma/ties", "options": {"density": 0.3}}
    merge["parent_files"] = ["count.safetensors", "relation.safetensors"]
    file = source(tmp_path, sd_shapes, **{"selma.manifest": json.dumps(merge)})
    out = tmp_path / "name.safetensors"
    export_adapter(file, out, "kohya", family="sd1")
    found = header(out)
    assert "lora_adapter_metadata" not in found
    data = out.read_bytes()
    body = hashlib.sha256(data[8 + int.from_bytes(data[:8], "little") :]).hexdigest()
    assert (found["sshs_model_hash"], found["modelspec.hash_sha256"]) == (body, f"0x{body}")
    assert (found["ss_network_module"], found["ss_network_dim"]) == ("networks.lora", "Dynamic")
    assert (found["ss_base_model_version"], found["ss_v2"]) == ("sd_v1", "False")
    assert (found["modelspec.sai_model_spec"], found["modelspec.title"]) == ("1.0.1", "name")
    assert found["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert found["modelspec.merged_from"] == "count, relation"
    manifest = json.loads(found["selma.manifest"])
    assert {key: manifest[key] for key in merge} == merge
    assert manifest["converted"]["files"] == {"source.safetensors": hashlib.sha256(file.read_bytes()).hexdigest()}


def test_dims_that_agree_are_numbers(tmp_path: Path) -> None:
    shapes = {"unet.conv_in": (4, 4, 3, 3), "unet.mid_block.attentions.0.proj_in": (8, 8, 1, 1)}
    found = factors(shapes, ranks=(2, 4))
    file = write(tmp_path / "s.safetensors", named(found, {name: name for name in shapes}, ENDS))
    export_adapter(file, tmp_path / "o.safetensors", "kohya")
    said = header(tmp_path / "o.safetensors")
    assert (said["ss_network_dim"], said["ss_network_alpha"]) == ("4", "2.0")
    assert json.loads(said["ss_network_args"]) == {"conv_dim": "2", "conv_alpha": "2"}
    assert "ss_base_model_version" not in said  # nothing says which model it is: nothing is claimed
    assert "modelspec.architecture" not in said


@pytest.mark.parametrize(
    ("layer", "into", "family"),
    [
        ("unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k", 768, "sd1"),
        ("unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_v", 1024, "sd2"),
        ("unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k", 2048, "sdxl"),
        ("unet.mid_block.attentions.0.transformer_blocks.3.attn1.to_q", 64, "sdxl"),
        ("text_encoder_2.text_projection", 64, "sdxl"),
        ("unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q", 64, None),
        ("transformer.blocks.0.attn.to_q", 768, None),
    ],
)
def test_the_family_is_read_from_shapes(layer: str, into: int, family: str | None, tmp_path: Path) -> None:
    file = source(tmp_path, {layer: (4, into)})
    assert export_adapter(file, tmp_path / "o.safetensors", "diffusers").family == family


def test_equal_sources_give_equal_bytes(sd_shapes: Shapes, tmp_path: Path) -> None:
    file = source(tmp_path, dict(list(sd_shapes.items())[::5]))
    for form in ("kohya", "comfyui", "diffusers"):
        for folder in ("a", "b"):
            export_adapter(file, tmp_path / folder / "o.safetensors", form, family="sd1")
        assert (tmp_path / "a/o.safetensors").read_bytes() == (tmp_path / "b/o.safetensors").read_bytes()


def test_an_adapter_folder(sd_shapes: Shapes, tmp_path: Path) -> None:
    export_adapter(source(tmp_path, sd_shapes), tmp_path / "folder", "diffusers")
    names = {path.name for path in (tmp_path / "folder").iterdir()}
    assert names == {"pytorch_lora_weights.safetensors", "adapter.json", "curve.jsonl"}
    assert read_layers(tmp_path / "folder").names() == sorted(sd_shapes)


def test_progress_counts_writing_and_reading_back(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    file = source(tmp_path, {"unet.conv_in": (4, 4, 3, 3), "unet.conv_out": (4, 4, 3, 3)})
    export_adapter(file, tmp_path / "o.safetensors", "kohya", progress=lambda *step: steps.append(step))
    assert steps[-1] == (4, 4)
    assert steps == sorted(steps)


def test_a_copy_that_differs_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison is what makes an export count: an exporter that loses the scale is caught."""
    file, out = source(tmp_path, {"unet.conv_in": (4, 4, 3, 3)}), tmp_path / "o.safetensors"
    good: Callable[[Any], None] = FORMS["kohya"]

    def forgets(job: Any) -> None:
        monkeypatch.setattr(job.source, "scale", lambda name: 1.0)
        good(job)
        monkeypatch.undo()

    out.write_bytes(b"older")
    monkeypatch.setitem(lora_export.FORMS, "kohya", forgets)
    with pytest.raises(ArtifactError, match=r"o\.safetensors: layer 'unet\.conv_in'.*off by"):
        export_adapter(file, out, "kohya")
    assert out.read_bytes() == b"older"
    assert {path.name for path in tmp_path.iterdir()} == {"source.safetensors", "o.safetensors"}


def test_too_large_for_half_precision(tmp_path: Path) -> None:
    big = {"unet.conv_in.lora_A.weight": torch.ones(2, 4), "unet.conv_in.lora_B.weight": torch.full((4, 2), 1e6)}
    file = write(tmp_path / "s.safetensors", big)
    with pytest.raises(ArtifactError, match=r"'lora_unet_conv_in\.lora_up\.weight' holds infinity in torch\.float16"):
        export_adapter(file, tmp_path / "o.safetensors", "kohya", dtype="float16")
    assert not (tmp_path / "o.safetensors").exists()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"form": "kohia"}, "unknown form 'kohia'; did you mean 'kohya'"),
        ({"dtype": "half"}, "unknown dtype 'half'"),
        ({"family": "sd15"}, "unknown family 'sd15'; did you mean 'sd1'"),
        ({"out": "o"}, "type: --out o.safetensors"),
        ({"out": "source.safetensors"}, "is what is being read"),
        ({"form": "peft-dir"}, "is a folder"),
        ({"form": "peft-dir", "out": "."}, "not empty"),
    ],
)
def test_bad_choices(changes: dict[str, str], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source(tmp_path, {"unet.conv_in": (4, 4, 3, 3)})
    arguments = {"out": "o.safetensors", "form": "kohya"} | changes
    out = Path(arguments.pop("out"))
    with pytest.raises(UserError, match=what.replace("(", r"\(")):
        export_adapter(Path("source.safetensors"), out, **arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["source.safetensors"]


@pytest.mark.parametrize(
    ("layer", "form"),
    [
        ("transformer.blocks.0.attn.to_q", "kohya"),
        ("unet.down_blocks.0.attentions.2.proj_in", "comfyui"),  # a third layer in a block
        ("unet.mid_block.adapter", "kohya"),
        ("text_encoder_3.encoder.block.0.layer.0.SelfAttention.q", "comfyui"),
    ],
)
def test_layers_without_a_name_in_the_form(layer: str, form: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"has no name in the {form} form"):
        export_adapter(source(tmp_path, {layer: (4, 4)}), tmp_path / "o.safetensors", form)


def test_an_upsampler_needs_to_know_its_model(tmp_path: Path) -> None:
    file, out = source(tmp_path, {"unet.up_blocks.0.upsamplers.0.conv": (4, 4, 3, 3)}), tmp_path / "o.safetensors"
    with pytest.raises(UserError, match="--family"):
        export_adapter(file, out, "comfyui")
    for family, number in (("sd2", 1), ("sdxl", 2)):
        export_adapter(file, out, "comfyui", family=family)
        assert f"diffusion_model.output_blocks.2.{number}.conv.lora_A.weight" in load_file(out)


def test_the_error_of_a_delta_does_not_cancel() -> None:
    """1e-9 beside 1: the difference of two inner products would lose it."""
    up, down = torch.randn(6, 3, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)
    other = up + 1e-9 * torch.randn(6, 3, dtype=torch.float64)
    wanted = float(((other - up) @ down).norm() / (up @ down).norm())
    assert delta_error(Factors(up=up, down=down), Factors(up=other, down=down)) == pytest.approx(wanted, rel=1e-5)
    zero = torch.zeros_like(up)
    assert delta_error(Factors(up=zero, down=down), Factors(up=zero, down=down)) == 0.0
    assert delta_error(Factors(up=zero, down=down), Factors(up=up, down=down)) == float("inf")

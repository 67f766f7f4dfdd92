"""`selma adapter`: what it prints, its JSON, and one line with exit code 2 for every mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from selma_core.artifacts.lora_reader import read_layers
from selma_core.cli import main
from tests.interchange.samples import factors, named, write

ENDS = (".lora_A.weight", ".lora_B.weight")
SHAPES = {"unet.conv_in": (8, 4, 3, 3), "unet.mid_block.attentions.0.proj_in": (16, 16, 1, 1)}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two adapters in the current folder."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate("ab"):
        found = factors(SHAPES, seed=seed)
        write(Path(f"{name}.safetensors"), named(found, {layer: layer for layer in found}, ENDS, 6.0))
    write(Path("dora.safetensors"), {"unet.a.dora_scale": torch.ones(1)})
    Path("lora.bin").write_bytes(b"x" * 20)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(["adapter", *argv])
    out, err = capsys.readouterr()
    return code, out, err


def as_json(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    code, out, err = run(capsys, *argv, "--json")
    assert code == 0, err
    return json.loads(out)


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    shown = as_json(capsys, "show", "a.safetensors")
    assert [layer["name"] for layer in shown["layers"]] == sorted(SHAPES)
    code, out, _ = run(capsys, "show", "a.safetensors", "--layers")
    assert code == 0
    assert "6.0 (2 layers)" in out
    assert "unet.conv_in" in out
    assert "[8, 4, 3, 3]" in out


@pytest.mark.parametrize("form", ["diffusers", "kohya", "comfyui", "peft-dir"])
def test_convert(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = "copy" if form == "peft-dir" else "copy.safetensors"
    done = as_json(
        capsys, "convert", "a.safetensors", "--to", form, "--out", out, "--dtype", "float16", "--family", "sd1"
    )
    assert (done["form"], done["dtype"], done["family"], done["layers"]) == (form, "float16", "sd1", 2)
    assert 0 < done["max_error"] < 1e-3
    assert read_layers(Path(out)).names() == sorted(SHAPES)
    code, text, _ = run(capsys, "convert", out, "--to", "diffusers", "--out", "folder")
    assert code == 0
    assert text.startswith("folder: 2 layers, read back")


def test_diff(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    found = as_json(capsys, "diff", "a.safetensors", "b.safetensors", "--picture", "d.png")
    assert (found["common"], found["picture"]) == (2, str(folder / "d.png"))
    with Image.open("d.png") as image:
        assert image.format == "PNG"
    code, out, _ = run(capsys, "diff", "a.safetensors", "a.safetensors", "--layers")
    assert code == 0
    assert out.split()[:2] == ["cosine", "1"]
    assert "unet.conv_in" in out


def test_fuse(capsys: pytest.CaptureFixture[str], sd: Path, folder: Path) -> None:
    done = as_json(capsys, "fuse", "a.safetensors", "--model", str(sd), "--out", "fused", "--weight", "-0.5")
    assert (done["path"], done["weight"], done["layers"]) == (str(folder / "fused"), -0.5, {"unet": 2})
    assert (folder / "fused" / "model_index.json").is_file()


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["show", "nowhere.safetensors"], "nowhere.safetensors: no such file"),
        (["show", "lora.bin"], "lora.bin: is truncated or no safetensors file"),
        (["show", "dora.safetensors"], "tensor 'unet.a.dora_scale' belongs to DoRA"),
        (["show"], "requires an argument"),
        (["shwo", "a.safetensors"], "did you mean 'show'?"),
        (["convert", "a.safetensors", "--to", "kohia", "--out", "x.safetensors"], "did you mean 'kohya'?"),
        (["convert", "a.safetensors", "--to", "kohya", "--out", "x"], "type: --out x.safetensors"),
        (["convert", "a.safetensors", "--to", "kohya", "--out", "a.safetensors"], "is what is being read"),
        (["convert", "a.safetensors", "--to", "kohya"], "requires an argument"),
        (["diff", "a.safetensors"], "requires an argument"),
        (["diff", "a.safetensors", "dora.safetensors"], "DoRA"),
        (["fuse", "a.safetensors", "--model", "shapes_bse", "--out", "f"], "did you mean 'shapes_base'?"),
        (["fuse", "a.safetensors", "--model", "./nowhere", "--out", "f"], "does not exist"),
        (["fuse", "a.safetensors", "--model", "shapes_base", "--out", "f"], "another model?"),
        (["fuse", "a.safetensors", "--model", "shapes_base", "--out", "f", "--weight", "half"], "half"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    argv: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    (line,) = [line for line in err.splitlines() if line.startswith("selma: error: ")]
    assert expected in line


def test_help_is_light_and_has_an_example_each() -> None:
    code = (
        "import sys; from selma_core.cli import main\n"
        "for name in ('show', 'convert', 'diff', 'fuse'): main(['adapter', name, '--help'])\n"
        "sys.stderr.write(str([m for m in ('torch', 'diffusers', 'PIL', 'numpy') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("Example: selma adapter") == 4
    assert done.stderr == "[]"

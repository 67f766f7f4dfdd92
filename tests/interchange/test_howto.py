"""The page on converting adapters: its commands are run, in order, on adapters of the bundled model."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from selma_core.cli import main
from tests.interchange.samples import factors, named, write

ENDS = (".lora_A.weight", ".lora_B.weight")
SHAPES = {"unet.conv_in": (32, 4, 3, 3), "unet.time_embedding.linear_1": (128, 32)}


def test_the_pages_commands_work(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("lora", "other")):
        found = factors(SHAPES, seed=seed)
        write(Path(f"{name}.safetensors"), named(found, {layer: layer for layer in found}, ENDS, 4.0))
    lines = re.findall(r"^ {4}selma (.*)$", (root / "docs/how-to/convert_an_adapter.md").read_text(), re.MULTILINE)
    assert len(lines) == 9
    for line in lines:
        assert main(shlex.split(line)) == 0, (line, capsys.readouterr().err)
    made = {path.name for path in tmp_path.iterdir()}
    files = {"lora_kohya.safetensors", "lora_comfyui.safetensors", "lora_again.safetensors", "lora_peft", "diff.png"}
    assert made == {"lora.safetensors", "other.safetensors", "shapes_with_lora"} | files

"""`selma merge` on files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from selma_core.artifacts.adapter import adapter_file, read_layers, write_adapter
from selma_core.cli.app import run_app
from selma_core.protocols import TrainedAdapter


@pytest.fixture
def files(make: Callable[..., TrainedAdapter], tmp_path: Path) -> list[Path]:
    found = []
    for seed, ranks in ((1, (4,)), (2, (2, 3))):
        folder = tmp_path / f"expert{seed}"
        folder.mkdir()
        write_adapter(folder, make(seed=seed, ranks=ranks))
        found.append(adapter_file(folder))
    return found


def merge(files: list[Path], out: Path, *more: str) -> int:
    return run_app(["merge", *map(str, files), "--strategy", "linear", "--out", str(out), *more])


def test_files_become_one_and_the_header_says_how(files: list[Path], tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "deep" / "merged.safetensors"
    assert merge(files, out, "--weights", "0.7,0.3", "--json") == 0
    card = json.loads(capsys.readouterr().out)
    assert card["path"] == str(out)
    reader = read_layers(out)
    parts = [read_layers(file) for file in files]
    for layer in reader.names():
        factors = [part.factors(layer) for part in parts]
        wanted = sum(w * f.up @ f.down for w, f in zip((0.7, 0.3), factors, strict=True))
        merged = reader.factors(layer)
        torch.testing.assert_close(merged.up @ merged.down, wanted)
    manifest = json.loads(reader.metadata["selma.manifest"])
    assert manifest["strategy"] == "selma/linear" or manifest["strategy"].endswith("/linear")
    assert manifest["weights"] == [0.7, 0.3]
    assert manifest["options"]["weights"] == [0.7, 0.3]
    assert len(set(manifest["parents"])) == 2
    assert manifest["base"] == "tiny"


def test_rank_and_type(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    assert merge(files, out, "--rank", "3", "--dtype", "float16") == 0
    from safetensors.torch import load_file

    tensors = load_file(out)
    assert {value.dtype for value in tensors.values()} == {torch.float16}
    assert max(value.shape[0] for name, value in tensors.items() if "lora_A" in name) == 3


@pytest.mark.parametrize("form", ["kohya", "comfyui", "peft-dir"])
def test_a_merge_is_written_for_other_programs(files: list[Path], tmp_path: Path, form: str) -> None:
    plain, other = tmp_path / "m.safetensors", tmp_path / ("other" if form == "peft-dir" else "other.safetensors")
    assert merge(files, plain) == 0
    assert merge(files, other, "--to", form) == 0
    wanted, found = read_layers(plain), read_layers(other)
    assert found.names() == wanted.names()
    for layer in wanted.names():
        one, two = wanted.factors(layer), found.factors(layer)
        torch.testing.assert_close(two.up @ two.down, one.up @ one.down, atol=1e-5, rtol=1e-4)
    assert not list(tmp_path.glob(".*"))
    again = tmp_path / "again.safetensors"
    assert merge([other, other], again) == 0  # what was written is read


def test_equal_inputs_give_equal_bytes(files: list[Path], tmp_path: Path) -> None:
    first, second = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    assert merge(files, first) == merge(files, second) == 0
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (("--weights", "1"), "1 given for 2 experts"),
        (("--weights", "a,b"), "give numbers with commas"),
        (("--dtype", "int8"), "dtype must be one of"),
        (("-o", "densty=0.3"), "densty"),
        (("--rank", "0"), "above 0"),
    ],
)
def test_bad_input_is_one_line(
    files: list[Path], tmp_path: Path, capsys: Any, more: tuple[str, ...], line: str
) -> None:
    out = tmp_path / "m.safetensors"
    assert merge(files, out, *more) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert line in errors[0]
    assert not out.exists()


def test_an_unknown_strategy_and_a_wrong_suffix(files: list[Path], tmp_path: Path, capsys: Any) -> None:
    arguments = ["merge", *map(str, files), "--strategy", "liner", "--out", str(tmp_path / "m.safetensors")]
    assert run_app(arguments) == 2
    assert "linear" in capsys.readouterr().err
    assert merge(files, tmp_path / "m.bin") == 2
    assert "--out" in capsys.readouterr().err


def test_experts_of_different_bases_are_refused(
    files: list[Path], make: Callable[..., TrainedAdapter], tmp_path: Path, capsys: Any
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    made = make(seed=5)
    write_adapter(other, TrainedAdapter(tensors=made.tensors, metadata={"base": "else"}))
    assert merge([files[0], other], tmp_path / "m.safetensors") == 2
    assert "different base models" in capsys.readouterr().err
    assert merge([files[0], other], tmp_path / "m.safetensors", "--base", "tiny") == 0

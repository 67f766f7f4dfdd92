"""A full disk under training and merging: one line names the place, and the next run goes on."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from selma_core.artifacts.tensor_writer import TensorWriter
from selma_core.errors import StoreError
from selma_core.result import Run
from selma_core.store import Store
from tests.engine.kit import contents
from tests.full_disk import fill_disk
from tests.whole.conftest import clean, run_stages

TEXTS = ["a red cat", "two blue hats", "left of cat", "the square"]


@pytest.fixture(scope="module")
def stages(draw: dict[str, Any], lora: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Prompts, images, an expert with a checkpoint every two steps, and a merge."""
    path = tmp_path_factory.mktemp("prompts") / "prompts.txt"
    path.write_text("\n".join(TEXTS))
    file = {"path": str(path)}
    saving = lora | {"steps": 4, "save_every": 2}
    train = {"kind": "adapter_trainer", "use": "lora", "from": {"images": "images"}}
    return {
        "prompts": {"kind": "prompt_source", "use": "prompt_file", "options": file},
        "images": {"kind": "image_generator", "use": "diffusers", "from": {"prompts": "prompts"}, "options": draw},
        "expert": train | {"options": saving},
        "merge": {"kind": "merge_strategy", "use": "param_mean", "from": {"adapters": "expert"}},
    }


@pytest.fixture(scope="module")
def straight(stages: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a run on an empty disk stores."""
    folder = tmp_path_factory.mktemp("straight")
    with pytest.MonkeyPatch.context() as patch:
        clean(patch, folder)
        assert run_stages(folder, stages).ok
    return contents(folder / "store")


@pytest.mark.parametrize(
    ("ending", "number", "stage", "kept"),
    [
        (".safetensors.part", 2, "expert", {"text": 1, "latents": 0}),
        (".safetensors.part", len(TEXTS) + 3, "expert", {"text": 4, "latents": 2}),
        ("state.safetensors.part", 1, "expert", {"text": 4, "latents": 4, "checkpoint-2": 0}),
        ("state.json.part", 1, "expert", {"text": 4, "latents": 4, "checkpoint-2": 0}),
        ("weights.safetensors.body", 1, "expert", {"text": 4, "latents": 4, "checkpoint-2": 2}),
        ("weights.safetensors.body", 2, "merge", {}),
    ],
)
def test_a_full_disk_fails_the_stage_and_the_next_run_goes_on(
    start: Callable[..., Run],
    stages: dict[str, Any],
    straight: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ending: str,
    number: int,
    stage: str,
    kept: dict[str, int],
) -> None:
    with monkeypatch.context() as patch:
        fill_disk(patch, ending, number)
        error = start(stages, fails=True).node(stage).error
    assert error is not None
    assert error.startswith(f"{stage}: cannot write {tmp_path / 'store'}")
    assert error.endswith(": the disk is full; free some space and run again")
    store = Store(tmp_path / "store")
    (work,) = store.unfinished()
    scratch = store.work(work) / "scratch"
    found = {name: len([p for p in scratch.rglob("*") if p.parent.name == name and is_whole(p)]) for name in kept}
    assert found == kept
    assert start(stages).ok
    assert contents(store) == straight
    assert store.unfinished() == []


def is_whole(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow above a megabyte."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("tensors", [(2 << 20,), ((1 << 18) - 64,) + (1,) * 4000, (1 << 17,) + (1,) * 9000])
def test_a_disk_that_fills_up_within_the_adapter(tmp_path: Path, small_files: None, tensors: tuple[int, ...]) -> None:
    """Within a large tensor, among small ones (which are buffered, so that closing fails too), or where a long header
    has them copied: no half a file stays, and the error is one line."""
    with pytest.raises(StoreError, match=r"cannot write .*w\.safetensors: the file is over the size limit"):
        write(tmp_path / "w.safetensors", tensors)
    assert list(tmp_path.iterdir()) == []


def write(path: Path, sizes: tuple[int, ...]) -> None:
    with TensorWriter(path) as writer:
        for number, size in enumerate(sizes):
            writer.add(f"t{number}", torch.zeros(size))
        writer.finish({})

"""The demo's recipe on the bundled models, made small: the whole of SELMA for real, with real kills."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

SKILLS = ("paragraph", "count", "real_user", "counterfactual", "general")
VARIANTS = {"base", "joint", "merged", "small", *(f"expert_{skill}" for skill in SKILLS)}
SMALL = (
    "stages.prompts.options.n=4",
    "stages.images.options.steps=4",
    "stages.expert.options.steps=6",
    "stages.expert.options.save_every=2",
    "stages.joint.options.steps=6",
    "stages.bench.options.per_group=2",
    "stages.sample.options.steps=4",
    "stages.sample.options.k=1",
)

pytestmark = pytest.mark.slow


def command(store: Path, *more: str, verb: str = "run") -> list[str]:
    overrides = [part for value in (*SMALL, *more) for part in ("-o", value)]
    return [sys.executable, "-m", "selma_core.cli", verb, "shapes", "--json", "--store", str(store), *overrides]


def selma(store: Path, *more: str, verb: str = "run") -> dict[str, Any]:
    done = subprocess.run(command(store, *more, verb=verb), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def digests(result: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Stage id -> file -> sha256 of what it stored, without the manifest, which holds times."""
    return {
        stage["id"]: {
            str(path.relative_to(stage["artifact"])): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(Path(stage["artifact"]).rglob("*"))
            if path.is_file() and path.name != "manifest.json"
        }
        for stage in result["stages"]
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "store"


@pytest.fixture(scope="module")
def whole(store: Path) -> dict[str, Any]:
    return selma(store)


def test_the_whole_recipe_runs_and_says_what_it_did(whole: dict[str, Any]) -> None:
    assert set(whole["scores"]) == VARIANTS
    ids = {stage["id"] for stage in whole["stages"]}
    assert {"joint", "merge"} <= ids
    assert {f"{label}[{skill}]" for label in ("prompts", "images", "expert") for skill in SKILLS} <= ids
    assert {stage["outcome"] for stage in whole["stages"]} == {"ran"}
    for entry in (variant["dsg"] for variant in whole["scores"].values()):
        assert 0 <= entry["low"] <= entry["mean"] <= entry["high"] <= 100
        assert (entry["n_prompts"], entry["n_images"]) == (10, 10)
    assert {("merged", "base"), ("merged", "joint"), ("merged", "experts")} <= {
        (row["variant"], row["baseline"]) for row in whole["comparisons"]
    }
    page = Path(whole["report"]).read_text()
    assert "data:image/png;base64" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_a_second_run_reuses_every_stage(whole: dict[str, Any], store: Path) -> None:
    again = selma(store)
    assert {stage["outcome"] for stage in again["stages"]} == {"reused"}
    assert again["scores"] == whole["scores"]


def test_another_merge_runs_the_merge_and_what_follows(whole: dict[str, Any], store: Path) -> None:
    plan = selma(store, "stages.merge.use=param_mean", verb="plan")
    todo = {stage["id"] for stage in plan["stages"] if stage["status"] == "run"}
    assert todo == {"merge", "sample[merged]", "score[merged]"}
    other = selma(store, "stages.merge.use=param_mean")
    assert {stage["id"] for stage in other["stages"] if stage["outcome"] == "ran"} == todo


def _begun(pattern: str) -> Callable[[Path], bool]:
    def begun(store: Path) -> bool:
        try:
            return any((store / "work").glob(pattern))
        except FileNotFoundError:  # the run renamed a folder of another stage while it was being listed
            return False

    return begun


@pytest.mark.parametrize(
    ("begun", "runtime"),
    [
        (_begun("*/out/*.png"), ("runtime.executor.use=inline",)),
        (_begun("**/checkpoint-*"), ("runtime.executor.use=process", "runtime.executor.options.workers=2")),
    ],
    ids=["while drawing", "while training"],
)
def test_a_killed_run_goes_on_and_ends_equal(
    whole: dict[str, Any], tmp_path: Path, begun: Callable[[Path], bool], runtime: Sequence[str]
) -> None:
    store = tmp_path / "store"
    run = subprocess.Popen(command(store, *runtime), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           start_new_session=True)  # fmt: skip
    deadline = time.monotonic() + 300
    while not begun(store):
        assert run.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "the stage to be killed never began"
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert digests(selma(store, *runtime)) == digests(whole)


PLAIN = """
import sys
sys.modules["selma_core"] = None  # importing it would now fail
import numpy as np, torch
from PIL import Image
from diffusers import StableDiffusionPipeline
model, adapter, prompt, seed, wanted, guidance = sys.argv[1:]
torch.set_num_threads(1)
pipe = StableDiffusionPipeline.from_pretrained(model, dtype=torch.float32)
pipe.load_lora_weights(adapter)
image = pipe(prompt, num_inference_steps=4, guidance_scale=float(guidance),
             generator=torch.Generator().manual_seed(int(seed))).images[0]
stored = np.asarray(Image.open(wanted).convert("RGB"), dtype=int)
print(abs(np.asarray(image, dtype=int) - stored).max())
"""


def test_the_merged_adapter_gives_the_same_images_in_plain_diffusers(whole: dict[str, Any], store: Path) -> None:
    folders = {stage["id"]: Path(stage["artifact"]) for stage in whole["stages"]}
    row = json.loads((folders["sample[merged]"] / "metadata.jsonl").read_text().splitlines()[0])
    manifest = json.loads((folders["sample[merged]"] / "manifest.json").read_text())
    guidance = manifest["payload"]["options"]["guidance"]
    model = subprocess.run([sys.executable, "-m", "selma_core.cli", "models", "show", "shapes_base", "--json"],
                           capture_output=True, text=True, check=True)  # fmt: skip
    plain = subprocess.run(
        [sys.executable, "-c", PLAIN, json.loads(model.stdout)["path"], str(folders["merge"]), row["text"],
         str(row["seed"]), str(folders["sample[merged]"] / row["file_name"]), str(guidance)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert plain.returncode == 0, plain.stderr[-2000:]
    assert int(plain.stdout.split()[-1]) <= 2  # of 255: fused and unfused weights round differently

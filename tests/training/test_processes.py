"""The trainer on two processes gives the adapter of one, the weights of a text encoder that learns with it included.

By torchrun, which sets what accelerate reads: `accelerate launch --cpu` starts one process whatever it is told.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.long_stage import t5_folder

SCRIPT = """
import sys
from pathlib import Path
from accelerate import Accelerator
from safetensors.torch import save_file
from selma_core.options import Slot
from selma_core.protocols import TrainJob
from selma_plugins.training.options import LoraOptions
from selma_plugins.training.trainer import LoraTrainer
from selma_plugins.encoders import text_adapter
from tests.long_stage import LongContext
from tests.tiny_stage import items

model, pictures, work, out, count, t5 = sys.argv[1:]
Path(work).mkdir(exist_ok=True)
text_adapter.DROPOUT = 0.0  # one draw for each forward pass, and two processes have other passes than one
slot = Slot("longalign", {"clip_len": 12, "t5": t5, "t5_len": 10, "t5_hidden": 8}) if t5 else Slot()
sizes = {"batch_size": 2, "accumulation": 2}
options = LoraOptions(model=model, rank=2, steps=2, lr=1e-2, heldout=0.2, save_every=1, text_encoder=slot, **sizes)
images = items(Path(pictures), 6)
trained = LoraTrainer(options).train(TrainJob(context=LongContext(Path(work)), images=images))
assert Accelerator().num_processes == int(count)
if Accelerator().is_main_process:
    save_file({**trained.tensors, **trained.encoder}, out)
"""


@pytest.mark.slow
@pytest.mark.parametrize("taught", [False, True], ids=["denoiser", "encoder too"])
def test_two_processes_equal_one(models: Any, tmp_path: Path, root: Path, taught: bool) -> None:
    t5 = str(t5_folder(tmp_path / "t5", 24)) if taught else ""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    results = []
    for count in (1, 2):
        out = tmp_path / f"{count}.safetensors"
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"]
        arguments = [str(models("epsilon")), str(tmp_path / "pictures"), str(tmp_path / f"work{count}")]
        done = subprocess.run(
            [*launch, str(script), *arguments, str(out), str(count), t5],
            cwd=root,
            env=_environment(root),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        results.append(load_file(out))
    assert any(name.startswith("adapter.") for name in results[0]) is taught
    for name, value in results[0].items():
        torch.testing.assert_close(results[1][name], value, atol=2e-4, rtol=1e-2)


def _environment(root: Path) -> dict[str, str]:
    import os

    return {
        **os.environ,
        "PYTHONPATH": f"{root}:{root}/plugins:{root}/registry",
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "true",
    }

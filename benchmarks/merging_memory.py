"""Peak memory of one side: `python benchmarks/merging_memory.py SIDE MODEL RANK LAYERS FOLDER`, a process of its own.

Prints {"total", "call"} in bytes of resident memory above what the imports take: with what must be there before
(PEFT: base layers and experts), and of the call alone. The kernel keeps the peak (VmHWM), so no moment is missed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from merging_data import IDS, MODELS, few, layer, layers, strategy
from merging_references import Peft

from selma_core.merging.files import MergePlan, merge_files
from selma_core.merging.layer import merge_layer


def resident(peak: bool = False) -> int:
    """Bytes in memory now, or the most since `forget`."""
    key = "VmHWM:" if peak else "VmRSS:"
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def forget() -> None:
    """The peak starts anew from what is in memory now."""
    Path("/proc/self/clear_refs").write_text("5")


def peft(counts: dict[tuple[int, int], int], rank: int, folder: Path) -> Callable[[], object]:
    """The call, once the model and its experts are there."""
    del folder
    model = Peft(layers(counts, rank))
    return lambda: model.merge("svd", svd_rank=rank)


def selma(counts: dict[tuple[int, int], int], rank: int, folder: Path) -> Callable[[], object]:
    """A merge of files to a file; nothing is there before."""
    del counts
    files = [folder / f"{name}.safetensors" for name in IDS]
    plan = MergePlan(strategy=strategy("svd", k=rank), files=files, expert_ids=IDS, base="")
    return lambda: merge_files(plan, folder / "merged.safetensors")


def main() -> None:
    """Warms up on a small layer, so that lazy imports and the libraries' buffers are not counted."""
    side, model, rank, most, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5])
    torch.set_num_threads(1)
    small = layer((48, 64), 4)
    Peft([small]).merge("svd", svd_rank=4)
    merge_layer(strategy("svd", k=4), small)
    start = resident()
    call = {"peft": peft, "selma": selma}[side](few(MODELS[model], most), rank, folder)
    ready = resident()
    forget()
    call()
    most_of_all = resident(peak=True)
    print(json.dumps({"total": most_of_all - start, "call": most_of_all - ready}))


if __name__ == "__main__":
    main()

"""Merging against PEFT and against dense definitions: `python benchmarks/merging.py --quick`; prints times and ratios.

    python benchmarks/merging.py [--quick] [--models sd15,sdxl] [--ranks 16,128] [--tasks svd,ties] [--repeat 3]

Five synthetic experts on the attention layers of SD 1.5 and SDXL, one thread, one run, both sides interleaved. With
`--quick` one layer of each shape is timed (median of `--repeat`) and multiplied by how many there are, files hold at
most four layers of each shape, and memory is that of one layer of each. Without it every layer is timed, once.
Times are CPU seconds, of files seconds. PEFT's side is the whole `add_weighted_adapter` on a model of that layer: it
includes the injection of a random adapter. Ours is the driver's `merge_layer`, which also measures norms. A ratio is
theirs over ours; BELOW marks a missed target.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from merging_data import IDS, MODELS, Shape, few, layer, strategy, write_experts
from merging_tasks import TASKS, Run, Task, svd
from safetensors.torch import load_file, save_file

from selma_core.merging.files import MergePlan, merge_files

ALL = 10**6  # layers of a shape
# task -> the ratio to reach (one number, or by model and rank); of files the ratio is ours over theirs, at most
TARGETS: dict[str, float | dict[tuple[str, int], float]] = {
    "svd": {("sd15", 16): 60, ("sdxl", 16): 150, ("sd15", 128): 2.5, ("sdxl", 128): 3.6},
    "ties": 5,
    "ties_kernel": 5,
    "tsv": {("sd15", 16): 100, ("sdxl", 16): 100},
    "knots": {("sd15", 16): 100, ("sdxl", 16): 100},
    "reweighted": 5,
    "linear files": 1.5,
    "cat files": 1.5,
    "memory": 4,
}


def timed(run: Run, clock: Callable[[], float] = time.process_time) -> tuple[float, Any]:
    """Seconds, and the result."""
    started = clock()
    result = run()
    return clock() - started, result


def on_layers(task: Task, counts: dict[Shape, int], rank: int, quick: bool, repeat: int) -> tuple[float, float, float]:
    """(theirs, ours, worst figure) over a model's layers."""
    theirs, ours, worst = 0.0, 0.0, 0.0
    for shape, count in counts.items():
        for index in range(1 if quick else count):
            job = layer(shape, rank, index)
            runs = task.start(job)
            pairs = [[timed(run) for run in runs] for _ in range(repeat if quick else 1)]
            factor = count if quick else 1
            theirs += factor * statistics.median(pair[0][0] for pair in pairs)
            ours += factor * statistics.median(pair[1][0] for pair in pairs)
            if task.check and index == 0:
                worst = max(worst, task.check(job, pairs[0][1][1], pairs[0][0][1]))
    return theirs, ours, worst


def on_files(name: str, counts: dict[Shape, int], rank: int, repeat: int) -> tuple[float, float]:
    """(theirs, ours): reading the experts and writing as many numbers as `cat` does, against the merge."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        files = write_experts(folder, counts, rank)
        plan = MergePlan(strategy=strategy(name), files=files, expert_ids=IDS, base="")

        def copy() -> None:
            tensors = {f"{i}.{key}": value for i, file in enumerate(files) for key, value in load_file(file).items()}
            save_file(tensors, folder / "copy.safetensors")
            descriptor = os.open(folder / "copy.safetensors", os.O_RDONLY)
            os.fsync(descriptor)  # a merge is on the disk when it returns
            os.close(descriptor)

        runs: tuple[Run, Run] = (copy, lambda: merge_files(plan, folder / "merged.safetensors"))
        pairs = [[timed(run, time.perf_counter)[0] for run in runs] for _ in range(repeat)]
    theirs, ours = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    return theirs, ours


def memory(model: str, rank: int, most: int) -> tuple[dict[str, float], dict[str, float]]:
    """(theirs, ours) of svd: {"total", "call"} in MB, each from a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        write_experts(Path(folder), few(MODELS[model], most), rank)
        script = Path(__file__).with_name("merging_memory.py")
        found = []
        for side in ("peft", "selma"):
            command = [sys.executable, str(script), side, model, str(rank), str(most), folder]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found.append({key: value / 2**20 for key, value in json.loads(done.stdout).items()})
    return found[0], found[1]


def target_of(task: str, model: str, rank: int) -> float | None:
    """What the ratio is to reach; None where nothing is asked."""
    found = TARGETS.get(task)
    return found.get((model, rank)) if isinstance(found, dict) else found


def row(what: Sequence[str], theirs: float, ours: float, ratio: float, verdict: str) -> None:
    """One line of the table."""
    print(f"{what[0]:5} r={what[1]:<4} {what[2]:13} {what[3]:17} {theirs:10.3f} {ours:10.3f} {ratio:8.2f}  {verdict}")
    sys.stdout.flush()


def verdict(good: bool, text: str) -> str:
    """ok or BELOW."""
    return f"{'ok' if good else 'BELOW'} ({text})"


def report(model: str, rank: int, names: Sequence[str], quick: bool, repeat: int) -> None:
    """All lines of a model and a rank."""
    for name in names:
        if name == "files":
            report_files(model, rank, 4 if quick else ALL, repeat)
        elif name == "memory":
            report_memory(model, rank, 1 if quick else ALL)
        else:
            report_layers(name, model, rank, quick, repeat)


def report_layers(name: str, model: str, rank: int, quick: bool, repeat: int) -> None:
    """One line."""
    task, goal = TASKS[name], target_of(name, model, rank)
    theirs, ours, worst = on_layers(task, MODELS[model], rank, quick, repeat)
    said = verdict(theirs / ours >= goal, f"at least {goal:g}") if goal else ""
    if task.check:
        said += f" {task.figure} " + verdict(worst <= task.limit, f"{worst:.7g}, at most {task.limit:g}")
    row([model, str(rank), name, task.against], theirs, ours, theirs / ours, said.strip())


def report_files(model: str, rank: int, most: int, repeat: int) -> None:
    """A line for each exact strategy."""
    for kind in ("linear", "cat"):
        theirs, ours = on_files(kind, few(MODELS[model], most), rank, repeat)
        limit = target_of(f"{kind} files", model, rank) or 0.0
        said = verdict(ours / theirs <= limit, f"ours over theirs, at most {limit:g}")
        row([model, str(rank), kind, "read and write"], theirs, ours, ours / theirs, said)


def report_memory(model: str, rank: int, most: int) -> None:
    """All that a side needs, and its call alone."""
    theirs, ours = memory(model, rank, most)
    goal = target_of("memory", model, rank) or 0.0
    for key in ("total", "call"):
        share = theirs[key] / ours[key]
        said = verdict(share >= goal, f"MB, at least {goal:g}") if key == "total" else "MB"
        row([model, str(rank), "memory, svd", f"peft, {key}"], theirs[key], ours[key], share, said)


def main() -> None:
    """Prints the table."""
    every = [*TASKS, "files", "memory"]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--models", default="sd15,sdxl", help="of " + ", ".join(MODELS))
    parser.add_argument("--ranks", default="16,128")
    parser.add_argument("--tasks", default=",".join(every))
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    models, names = given.models.split(","), given.tasks.split(",")
    if unknown := sorted({*models, *names} - {*MODELS, *every}):
        parser.error(f"unknown: {', '.join(unknown)}; models: {', '.join(MODELS)}; tasks: {', '.join(every)}")
    torch.set_num_threads(1)
    for run in svd(layer((48, 64), 4)):  # so that lazy imports are in nobody's time
        run()
    print(f"{'':25} {'against':17} {'theirs':>10} {'ours':>10} {'ratio':>8}")
    for model in models:
        for rank in map(int, given.ranks.split(",")):
            report(model, rank, names, given.quick, given.repeat)


if __name__ == "__main__":
    main()

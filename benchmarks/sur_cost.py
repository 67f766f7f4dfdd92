"""What a SUR-adapter adds to the time of an image: `python benchmarks/sur_cost.py MODEL_FOLDER [--steps 50]`.

Measures, on this machine, encoding a prompt with and without a fresh adapter of the model's width, and one guided step
of the denoiser; an image is two encodings (prompt and negative prompt) and so many steps. Target: below 3 per cent.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from selma_plugins.diffusion.loading import denoiser_name, load_pipeline
from selma_plugins.sur.encoder import Build, SurEncoder
from selma_plugins.sur.options import SurEncoderOptions

PROMPTS = ["someone left a ball under a box", ""]


def seconds(work: Callable[[], Any], device: str, rounds: int = 9) -> float:
    """The median time of a call, after two that warm up."""
    times = []
    for number in range(rounds + 2):
        started = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        times += [time.perf_counter() - started] if number > 1 else []
    return median(times)


def main() -> None:
    """Prints one line a measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    dtype = torch.float32 if args.device == "cpu" else torch.float16
    pipeline = load_pipeline(args.model, dtype).to(args.device)
    encoder = SurEncoder(SurEncoderOptions())
    embeddings = encoder.plain(pipeline, PROMPTS).hidden
    encoder.start(Build(width=embeddings.shape[-1]), 0).to(args.device)
    denoiser = getattr(pipeline, denoiser_name(pipeline))
    side = denoiser.config.sample_size
    noise = torch.randn(2, denoiser.config.in_channels, side, side, device=args.device, dtype=dtype)
    with torch.inference_mode():
        plain = seconds(lambda: encoder.plain(pipeline, PROMPTS), args.device)
        adapted = seconds(lambda: encoder.encode(pipeline, PROMPTS), args.device)
        step = seconds(lambda: denoiser(noise, 500, embeddings, return_dict=False), args.device)
    whole = plain + args.steps * step
    print(f"text encoder {1000 * plain:.1f} ms, with the adapter {1000 * adapted:.1f} ms, a step {1000 * step:.1f} ms")
    print(f"the adapter adds {100 * (adapted - plain) / whole:.2f} % to an image of {args.steps} steps (target: 3 %)")


if __name__ == "__main__":
    main()

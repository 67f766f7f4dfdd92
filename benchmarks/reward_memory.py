"""Memory of a step of `reward_lora` by denoising steps N and trained steps K: `python benchmarks/reward_memory.py`.

Counted are the bytes of tensors, as PyTorch's allocator reports every allocation and release, from the first denoising
step to the end of the backward pass: `kept` is what the forward pass leaves for the backward one, `peak` the most at
any moment. Both are sums of sizes, so no run differs from another. The UNet is random and small.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from selma_plugins.reward_training.ddim import make_grid
from selma_plugins.reward_training.rollout import Route, draw
from torch.profiler import ProfilerActivity, profile

MB = 2**20
CASES = [(10, 5), (20, 5), (50, 5), (100, 5), (50, 1), (50, 2), (50, 10), (50, 25)]


def unet() -> Any:
    """A small UNet over latents [B, 4, 16, 16]; only its cross-attention learns."""
    torch.manual_seed(0)
    model = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=8,
        norm_num_groups=8,
    )
    for name, weight in model.named_parameters():
        weight.requires_grad_("attn2" in name)
    return model


def measure(steps: int, trained: int, method: str, *, save: bool = True) -> tuple[int, int]:
    """(kept, peak) in bytes."""
    model, text = unet(), torch.randn(2, 8, 32)
    grid = make_grid(DDIMScheduler(), steps)
    chosen = range(0, steps, steps // trained) if method == "drtune" else range(steps - trained, steps)
    route = Route(frozenset(chosen), steps - 1, cut=method == "drtune")
    noise = torch.randn(2, 4, 16, 16)

    def answer(x: torch.Tensor, timestep: int) -> torch.Tensor:
        found: torch.Tensor = model(x, timestep, text, return_dict=False)[0]
        return found

    answer(noise, 0).sum().backward()  # so that the gradients are there before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as forward:
        latents, _ = draw(grid, route, noise, answer, save=save)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as backward:
        latents.square().mean().backward()
    first, second = list(running(forward)), list(running(backward))
    return first[-1], max(*first, first[-1] + max(second))


def running(recorded: Any) -> Iterator[int]:
    """Bytes in use above the beginning, after each allocation and release."""
    total = 0
    for event in recorded.profiler.kineto_results.events():
        if event.name() == "[memory]":
            total += event.nbytes()
            yield total


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the first two cases only")
    cases = CASES[:2] if parser.parse_args().quick else CASES
    torch.set_num_threads(1)
    print("| N | K | drtune: kept, peak | drtune, all kept | draft_k: kept, peak |")
    print("| --- | --- | --- | --- | --- |")
    for steps, trained in cases:
        saving, plain, last = (
            measure(steps, trained, method, save=save)
            for method, save in (("drtune", True), ("drtune", False), ("draft_k", True))
        )
        cells = [", ".join(f"{value / MB:.2f}" for value in pair) for pair in (saving, plain, last)]
        print(f"| {steps} | {trained} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

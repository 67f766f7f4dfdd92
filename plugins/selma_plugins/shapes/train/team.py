"""Several processes that train one model, each on its own core with a batch of its own size."""

from pathlib import Path

import torch
import torch.distributed as dist
from attrs import define
from torch import Tensor, nn


@define
class Team:
    """One member of `size`; alone, every method does nothing. Member 0 leads."""

    rank: int = 0
    size: int = 1

    def meet(self, file: Path) -> None:
        """Wait until all members are there; `file` must not exist from an earlier meeting."""
        if self.size > 1:
            dist.init_process_group("gloo", init_method=f"file://{file}", rank=self.rank, world_size=self.size)

    def share(self, model: nn.Module, batch: int, progress: float) -> float:
        """Replace gradients by their mean over all samples; returns the leader's progress.

        Every member then takes the same step, so their models stay equal.
        """
        if self.size == 1:
            return progress
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        tail = torch.tensor([float(batch), progress if self.rank == 0 else 0.0])
        flat = torch.cat([*(g.flatten() * batch for g in gradients), tail])
        dist.all_reduce(flat)
        at = 0
        for gradient in gradients:
            gradient.copy_(_part(flat, at, gradient) / flat[-2])
            at += gradient.numel()
        return float(flat[-1])


def _part(flat: Tensor, at: int, like: Tensor) -> Tensor:
    return flat[at : at + like.numel()].view_as(like)

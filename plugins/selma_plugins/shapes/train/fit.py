"""The frame that all trainings of the small parts share: budget, rate, clipped steps, log lines, checkpoints."""

from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import torch
from attrs import define, field, frozen
from torch import Tensor, nn

from selma_plugins.shapes.train import checkpoint
from selma_plugins.shapes.train.clock import Clock, rate, say

CLIP = 1.0  # largest norm of all gradients together


@frozen
class Pace:
    """How a training goes: highest rate, its course over the budget, AdamW's settings, steps between log lines."""

    peak: float
    warm: float = 0.02
    hold: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    decay: float = 0.01
    every: int = 100


@define
class Fit:
    """One training: ``while fit.goes_on(): fit.learn(loss)`` until the budget is used up."""

    name: str
    log: Path
    weights: list[nn.Parameter]
    clock: Clock
    pace: Pace
    step: int = 0
    losses: list[float] = field(factory=list)
    optimizer: torch.optim.AdamW = field(init=False)

    def __attrs_post_init__(self) -> None:
        pace = self.pace
        self.optimizer = torch.optim.AdamW(self.weights, lr=pace.peak, betas=pace.betas, weight_decay=pace.decay)

    def resume(self, file: Path, model: nn.Module) -> None:
        """Take up a checkpoint that `keep` wrote, if there is one."""
        saved = checkpoint.load(file)
        if saved:
            model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.clock.spent, self.step = saved["seconds"], saved["step"]

    def keep(self, file: Path, model: nn.Module) -> None:
        """Write a checkpoint."""
        state = {"model": model.state_dict(), "optimizer": self.optimizer.state_dict()}
        checkpoint.save(file, {**state, "seconds": self.clock.seconds, "step": self.step})

    def goes_on(self) -> bool:
        """Whether budget is left; says so in the log once there is none."""
        if self.clock.progress(self.step) < 1:
            return True
        say(self.log, f"{self.name} done after {self.step} steps, {self.clock.seconds:.0f} s")
        return False

    def learn(self, loss: Tensor, right: Callable[[], float] | None = None) -> None:
        """One step down `loss` at the rate of this moment; `right`, the share read rightly, goes into the log."""
        pace, progress = self.pace, self.clock.progress(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate(progress, pace.peak, warm=pace.warm, hold=pace.hold)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.weights, CLIP)
        self.optimizer.step()
        self.step += 1
        self.losses.append(loss.item())
        if self.step % pace.every == 0:
            line = f"{self.name} step {self.step} seconds {self.clock.seconds:.0f} loss {fmean(self.losses):.4f}"
            say(self.log, f"{line} read rightly {right():.3f}" if right else line)
            self.losses = []


def trainable(*modules: nn.Module) -> list[nn.Parameter]:
    """The weights of modules that take gradients."""
    return [p for module in modules for p in module.parameters() if p.requires_grad]

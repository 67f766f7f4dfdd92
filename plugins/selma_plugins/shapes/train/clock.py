"""A training budget in minutes or steps, the learning rate along it, and a text log."""

import math
import time
from pathlib import Path

from attrs import define, field


@define
class Clock:
    """How far a run is, in [0, 1]: by wall-clock `minutes`, or by `steps` where given.

    A budget in minutes ends in time on a machine of any speed; the steps it came to are logged. A
    budget in steps makes a run repeatable. `spent` carries over seconds from before a resume.
    """

    minutes: float
    steps: int = 0
    spent: float = 0.0
    started: float = field(factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds of training so far, those before a resume included."""
        return self.spent + time.monotonic() - self.started

    def progress(self, step: int) -> float:
        """Share of the budget used up when `step` steps are done."""
        if self.steps:
            return min(1.0, step / self.steps)
        return min(1.0, self.seconds / (60 * self.minutes))


def rate(progress: float, peak: float, warm: float = 0.01, hold: float = 0.0) -> float:
    """Learning rate: linear up over `warm`, `peak` until `hold`, then a half cosine to zero."""
    if progress < warm:
        return peak * (progress + 1e-4) / warm
    fall = max(0.0, (progress - max(hold, warm)) / (1 - max(hold, warm)))
    return peak * 0.5 * (1 + math.cos(math.pi * fall))


def say(log: Path, text: str) -> None:
    """Add a line to a text log and show it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as out:
        out.write(text + "\n")
    print(text, flush=True)

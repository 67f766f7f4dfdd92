"""The strategy itself; imported on first use, so torch may stand at the top."""

import torch

from selma_core.protocols import Factors


class Half:
    """`strength` times the mean of the experts' deltas, exact: the factors are set side by side."""

    def __init__(self, options):
        self.strength = options.strength

    def weights(self, count, base):
        return (self.strength / count,) * count

    def merge_layer(self, job):
        kept = [(weight, expert) for weight, expert in zip(job.weights, job.experts, strict=True) if expert is not None]
        if not kept:
            return None
        up = torch.cat([weight * expert.up for weight, expert in kept], dim=1)
        return Factors(up=up, down=torch.cat([expert.down for _, expert in kept]))

"""A second lesson for the denoiser: to say of each place what the picture shows there.

The squared error hardly rewards a right layout at times of much noise, as most of it cannot be
helped there, and a model this small then needs millions of samples to learn that "left of" moves
an object. Linear heads on the decoder's features are asked for shape, colour and size at each place
instead; the heads are thrown away, what the features learned for them stays. It is the idea of
representation alignment (REPA, arXiv 2410.06940) with the scene itself as the teacher.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from selma_plugins.shapes.scene import CANVAS, COLORS, SHAPES, SIZES, Scene

SIDE = 16  # places along an edge
NOTHING = (len(SHAPES), len(COLORS), len(SIZES))  # the class of each lesson that says: nothing here
LOOKS = tuple(n + 1 for n in NOTHING)


def layouts(scenes: Sequence[Scene]) -> Tensor:
    """What is at each place of each scene, classes of shape, colour and size, (n, 3, 16, 16) bytes."""
    nothing = torch.tensor(NOTHING, dtype=torch.uint8)
    out = nothing[None, :, None, None].repeat(len(scenes), 1, SIDE, SIDE)
    centre = (torch.arange(SIDE) + 0.5) * CANVAS / SIDE
    for index, scene in enumerate(scenes):
        for item in scene.objects:
            across = ((centre - item.cx).abs() <= item.radius).nonzero()[:, 0]
            down = ((centre - item.cy).abs() <= item.radius).nonzero()[:, 0]
            box = out[index, :, down[0] : down[-1] + 1, across[0] : across[-1] + 1]
            look = SHAPES.index(item.shape), COLORS.index(item.color), SIZES.index(item.size)
            box[:] = torch.tensor(look, dtype=torch.uint8)[:, None, None]
    return out


class LayoutReader(nn.Module):
    """Reads shapes, colours and sizes off a UNet's features after each of its attending up blocks."""

    def __init__(self, model: UNet2DConditionModel) -> None:
        super().__init__()
        widths = list(reversed(model.config["block_out_channels"]))[:-1]
        self.heads = nn.ModuleList(nn.Conv2d(width, sum(LOOKS), 1) for width in widths)
        self.features: list[Tensor] = []
        for block in model.up_blocks[: len(widths)]:
            block.register_forward_hook(self._keep)

    def _keep(self, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        self.features.append(output)

    def forward(self, wanted: Tensor) -> Tensor:
        """Mean cross entropy of the last forward pass of the model; wanted (b, 3, 16, 16) classes."""
        features, self.features = self.features, []
        losses = []
        for head, seen in zip(self.heads, features, strict=True):
            step = SIDE // seen.shape[-1]
            truth = wanted[:, :, step // 2 :: step, step // 2 :: step].long()
            guesses = head(seen).split(LOOKS, dim=1)
            losses += [F.cross_entropy(guess, truth[:, i]) for i, guess in enumerate(guesses)]
        return torch.stack(losses).mean()

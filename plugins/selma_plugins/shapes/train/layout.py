"""A second lesson for the denoiser: to say of each place what the picture shows there.

The squared error hardly rewards a right layout at times of much noise, as most of it cannot be
helped there, and a model this small then needs millions of samples to learn that "left of" moves
an object. Linear heads on the decoder's features are asked for shape and colour at each place
instead; the heads are thrown away, what the features learned for them stays. It is the idea of
representation alignment (REPA, arXiv 2410.06940) with the scene itself as the teacher.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from selma_plugins.shapes.scene import CANVAS, COLORS, SHAPES, Scene

SIDE = 16  # places along an edge
LOOKS = (len(SHAPES) + 1, len(COLORS) + 1)  # classes of each lesson; the last says: nothing here


def layouts(scenes: Sequence[Scene]) -> Tensor:
    """What is at each place of each scene, classes of shape and colour, (n, 2, 16, 16) bytes."""
    out = torch.empty(len(scenes), 2, SIDE, SIDE, dtype=torch.uint8)
    out[:, 0], out[:, 1] = len(SHAPES), len(COLORS)
    centre = (torch.arange(SIDE) + 0.5) * CANVAS / SIDE
    for index, scene in enumerate(scenes):
        for item in scene.objects:
            across = ((centre - item.cx).abs() <= item.radius).nonzero()[:, 0]
            down = ((centre - item.cy).abs() <= item.radius).nonzero()[:, 0]
            box = out[index, :, down[0] : down[-1] + 1, across[0] : across[-1] + 1]
            box[0], box[1] = SHAPES.index(item.shape), COLORS.index(item.color)
    return out


class LayoutReader(nn.Module):
    """Reads shapes and colours off a UNet's features after each of its attending up blocks."""

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
        """Mean cross entropy of the last forward pass of the model; wanted (b, 2, 16, 16) classes."""
        features, self.features = self.features, []
        losses = []
        for head, seen in zip(self.heads, features, strict=True):
            step = SIDE // seen.shape[-1]
            truth = wanted[:, :, step // 2 :: step, step // 2 :: step].long()
            shapes, colors = head(seen).split(LOOKS, dim=1)
            losses += [F.cross_entropy(shapes, truth[:, 0]), F.cross_entropy(colors, truth[:, 1])]
        return torch.stack(losses).mean()

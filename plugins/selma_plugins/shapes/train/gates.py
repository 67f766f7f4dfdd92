"""A lesson for the gates of `shapes_vqa`: where what a question speaks of is, told by the scene.

The first four of the network's gates learn to open: where the shape asked about is; where the other shape of a
relation is; where the shape (or the background) asked about is as it is said to be; and at the centres of the shape
asked about, one place each. The network's compass learns to point where a relation says. What is made of it, and the
rest of the gates, is learnt from answers.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from selma_plugins.shapes.scene import BACKGROUNDS, CANVAS, COLORS, SHAPES, SIZES, Scene
from selma_plugins.shapes.train.asking import Ask
from selma_plugins.shapes.train.layout import NOTHING, SIDE, layouts

TAUGHT = 4
CENTRES = 6.0  # weight of the fourth gate's: one place in 256
NOBODY = 99  # a class that no place has


def centres(scenes: Sequence[Scene]) -> Tensor:
    """The shape that has its centre at each place, (n, 16, 16) classes, the last: none."""
    out = torch.full((len(scenes), SIDE, SIDE), NOTHING[0])
    for index, scene in enumerate(scenes):
        for item in scene.objects:
            out[index, item.cy * SIDE // CANVAS, item.cx * SIDE // CANVAS] = SHAPES.index(item.shape)
    return out


def targets(scenes: Sequence[Scene], asked: Sequence[Sequence[Ask]]) -> Tensor:
    """What the taught gates should be for questions about scenes, (n, q, 4, 256) in {0, 1}."""
    layout, middle = layouts(scenes), centres(scenes)
    shape, color, size = (layout[:, i].flatten(1)[:, None].long() for i in range(3))
    first = _classes(asked, lambda one: _at(SHAPES, one.shape))
    second = _classes(asked, lambda one: _at(SHAPES, one.other))
    hue = _classes(asked, lambda one: _at(COLORS, one.value) if one.kind == "color" else NOBODY)
    backdrop = _classes(asked, lambda one: _at(BACKGROUNDS, one.value) if one.kind == "background" else NOBODY)
    extent = _classes(asked, lambda one: _at(SIZES, one.value) if one.kind == "size" else NOBODY)
    there, ground = shape == first, torch.tensor([[BACKGROUNDS.index(scene.background)] for scene in scenes])[..., None]
    so = there & ((color == hue) | (size == extent)) | (shape == NOTHING[0]) & (ground == backdrop)
    parts = (there, shape == second, so, middle.flatten(1)[:, None] == first)
    return torch.stack(parts, dim=2).float()


def directions(asked: Sequence[Sequence[Ask]]) -> Tensor:
    """Where the compass should point, (n, q, 2): a unit vector for a relation, nowhere for other questions."""
    way = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "above": (0.0, -1.0), "below": (0.0, 1.0)}
    return torch.tensor([[way.get(str(one.value), (0.0, 0.0)) for one in row] for row in asked])


def gate_loss(gates: Tensor, wanted: Tensor) -> Tensor:
    """Cross entropy of the taught gates' logits (n, q, gates, 256), summed over gates."""
    weight = torch.ones(TAUGHT, 1)
    weight[3] = CENTRES
    each = F.binary_cross_entropy_with_logits(gates[:, :, :TAUGHT], wanted, reduction="none")
    return (weight * each).mean((0, 1, 3)).sum()


def _at(names: Sequence[str], name: object) -> int:
    return names.index(str(name)) if name in names else NOBODY


def _classes(asked: Sequence[Sequence[Ask]], of: Callable[[Ask], int]) -> Tensor:
    return torch.tensor([[of(one) for one in row] for row in asked])[..., None]

"""The two readers of the judge: a small CNN for pictures, linear heads on the world's text encoder for prompts.

The CNN finds the centres of objects on a 16 x 16 grid, as CenterNet does (arXiv 1904.07850): at each place it says
which shape has its centre there, if any, and of which colour and size it is. The heads say of each shape how many a
prompt wants, of which colour and size, and its role in a relation. Both are trained on drawn scenes and their captions,
never on answers of the oracle.
"""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from selma_plugins.shapes.scene import BACKGROUNDS, CANVAS, COLORS, MAX_OBJECTS, RELATIONS, SHAPES, SIZES

GRID = 16  # places along an edge; two centres never share one, as objects are at least 16 pixels apart
CELL = CANVAS // GRID
LOOKS = (len(SHAPES) + 1, len(COLORS), len(SIZES))  # at a place: shape (the last class: none), colour, size
SAYS = (MAX_OBJECTS + 1, len(COLORS) + 1, len(SIZES) + 1, len(RELATIONS) + 1)  # class 0 of all but counts: open
WEIGHTS, CONFIG = "model.safetensors", "config.json"


@attrs.frozen
class Looks:
    """What pictures show, as logits: shapes (b, 7, 16, 16), colors (b, 8, 16, 16), sizes (b, 2, 16, 16), backgrounds
    (b, 3)."""

    shapes: Tensor
    colors: Tensor
    sizes: Tensor
    backgrounds: Tensor


class ImageReader(nn.Module):
    """64 x 64 pictures -> `Looks`."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for into, out, stride in ((3, width // 2, 2), (width // 2, width, 2), *((width, width, 1),) * 4):
            layers += [nn.Conv2d(into, out, 3, stride, 1), nn.GroupNorm(8, out), nn.SiLU()]
        self.body = nn.Sequential(*layers)
        self.places = nn.Conv2d(width, sum(LOOKS), 1)
        self.background = nn.Linear(width, len(BACKGROUNDS))

    def forward(self, pictures: Tensor) -> Looks:
        """Reads pictures (b, 3, 64, 64) in [-1, 1]."""
        features = self.body(pictures)
        shapes, colors, sizes = self.places(features).split(LOOKS, dim=1)
        return Looks(shapes, colors, sizes, self.background(features.mean((2, 3))))


@attrs.frozen
class Found:
    """One object that was found.

    Attributes: x, y = the centre of its place in pixels; shapes, colors, sizes = probabilities by class; those of
    shapes leave out "none", so they sum to less than 1.
    """

    x: float
    y: float
    shapes: tuple[float, ...]
    colors: tuple[float, ...]
    sizes: tuple[float, ...]


def found(looks: Looks, threshold: float = 0.1) -> list[list[Found]]:
    """The objects of each picture: places that are surer of a centre than all places around them."""
    shapes, colors, sizes = looks.shapes.softmax(1), looks.colors.softmax(1), looks.sizes.softmax(1)
    there = 1 - shapes[:, -1]
    peaks = (there >= F.max_pool2d(there[:, None], 3, 1, 1)[:, 0]) & (there > threshold)
    out: list[list[Found]] = [[] for _ in there]
    for b, y, x in peaks.nonzero().tolist():
        parts = (shapes[b, :-1, y, x], colors[b, :, y, x], sizes[b, :, y, x])
        one, two, three = (tuple(part.tolist()) for part in parts)
        out[b].append(Found((x + 0.5) * CELL, (y + 0.5) * CELL, one, two, three))
    return out


class TextReader(nn.Module):
    """The text encoder's state at the end mark (b, w) -> what the prompt says, logits."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.shapes = nn.Linear(width, len(SHAPES) * sum(SAYS))
        self.background = nn.Linear(width, len(BACKGROUNDS) + 1)

    def forward(self, ends: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Logits (b, 6, classes) of count, colour, size, role; and (b, 4) of the background (0 = open)."""
        each = self.shapes(ends).view(len(ends), len(SHAPES), sum(SAYS))
        return tuple(each.split(SAYS, dim=2)), self.background(ends)


def save_judge(folder: Path, image: ImageReader, text: TextReader) -> None:
    """Writes both readers in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    states = {"image": image.state_dict(), "text": text.state_dict()}
    tensors = {f"{name}.{k}": v.half().contiguous() for name, state in states.items() for k, v in state.items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    config = {"model_type": "shapes_judge", "shapes": SHAPES, "colors": COLORS}
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def load_judge(folder: Path) -> tuple[ImageReader, TextReader]:
    """Both readers in fp32, for reading only."""
    tensors = load_file(folder / WEIGHTS)
    image, text = ImageReader(), TextReader()
    for name, part in (("image", image), ("text", text)):
        own = {k.removeprefix(f"{name}."): v.float() for k, v in tensors.items() if k.startswith(f"{name}.")}
        part.load_state_dict(own)
        part.eval().requires_grad_(False)
    return image, text

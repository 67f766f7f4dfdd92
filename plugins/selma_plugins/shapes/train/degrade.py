"""What may happen to a picture on its way from a scene without changing the right answers.

All take pictures (n, 3, 64, 64) in [-1, 1]; `strength` in [0, 1] scales the largest extent, the extent is drawn anew
for each picture.
"""

import io

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Generator, Tensor

from selma_plugins.shapes.scene import CANVAS


def degrade(pictures: Tensor, strength: float, generator: Generator) -> Tensor:
    """Bent, faded, tinted, blurred, noisy, and some of them compressed."""
    out = warp(pictures, strength, generator)
    out = fade(out, strength, generator)
    out = tint(out, strength, generator)
    out = blur(out, strength, generator)
    out = out + 0.08 * strength * _each(out, generator) * torch.randn(out.shape, generator=generator)
    return compress(out.clamp(-1, 1), 0.12 * strength, generator)


def warp(pictures: Tensor, strength: float, generator: Generator) -> Tensor:
    """Turned by up to 5 degrees, scaled by 6 %, shifted by 2 pixels, and bent by up to 1.5 pixels."""
    n = len(pictures)
    turn, scale, across, down = (strength * _signed((n,), generator) * most for most in (0.09, 0.06, 0.06, 0.06))
    theta = torch.stack([1 + scale, -turn, across, turn, 1 + scale, down], dim=1).view(n, 2, 3)
    grid = F.affine_grid(theta, list(pictures.shape), align_corners=False)
    bend = F.interpolate(_signed((n, 2, 6, 6), generator), CANVAS, mode="bicubic", align_corners=False)
    grid = grid + (strength * 3.0 / CANVAS) * _each(bend, generator).view(n, 1, 1, 1) * bend.permute(0, 2, 3, 1)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def fade(pictures: Tensor, strength: float, generator: Generator) -> Tensor:
    """Parts go over into the background, by up to 45 %."""
    plain = pictures.flatten(2).median(2).values[..., None, None]
    share = 0.45 * strength * _smooth(pictures, 1, generator).relu()
    return pictures + share * (plain - pictures)


def tint(pictures: Tensor, strength: float, generator: Generator) -> Tensor:
    """Colours shift, as a whole and from place to place."""
    whole = _signed((len(pictures), 3, 1, 1), generator)
    return pictures * (1 + 0.08 * strength * whole) + 0.2 * strength * _smooth(pictures, 3, generator)


def blur(pictures: Tensor, strength: float, generator: Generator) -> Tensor:
    """A Gaussian of up to 1.4 pixels."""
    sigma = 0.05 + 1.35 * strength * _each(pictures, generator).view(-1, 1)
    taps = torch.exp(-0.5 * (torch.arange(-4, 5) / sigma) ** 2)
    taps = taps / taps.sum(1, keepdim=True)
    n = len(pictures)
    flat = F.pad(pictures.transpose(0, 1), (4, 4, 4, 4), mode="replicate")  # (3, n, h, w): one kernel a picture
    flat = F.conv2d(flat, taps.view(n, 1, 1, 9), groups=n)
    flat = F.conv2d(flat, taps.view(n, 1, 9, 1), groups=n)
    return flat.transpose(0, 1)


def compress(pictures: Tensor, share: float, generator: Generator) -> Tensor:
    """A share of the pictures passes through JPEG of quality 25 to 85."""
    out = pictures.clone()
    for index in (torch.rand(len(pictures), generator=generator) < share).nonzero()[:, 0].tolist():
        data = ((pictures[index].permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
        file = io.BytesIO()
        quality = int(torch.randint(25, 86, (), generator=generator))
        Image.fromarray(data).save(file, "JPEG", quality=quality)
        with Image.open(file) as image:
            out[index] = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1) / 127.5 - 1
    return out


def _signed(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return 2 * torch.rand(shape, generator=generator) - 1


def _each(pictures: Tensor, generator: Generator) -> Tensor:
    """One number in [0, 1] a picture, small ones more often, (n, 1, 1, 1)."""
    return torch.rand(len(pictures), 1, 1, 1, generator=generator) ** 1.5


def _smooth(pictures: Tensor, channels: int, generator: Generator) -> Tensor:
    """A field in about [-1, 1] that changes slowly from place to place, its extent another for each picture."""
    coarse = _signed((len(pictures), channels, 4, 4), generator)
    return _each(pictures, generator) * F.interpolate(coarse, CANVAS, mode="bicubic", align_corners=False)

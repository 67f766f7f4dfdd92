"""Image preparation of the CLIP family, as the models' authors do it: with Pillow for files, in torch for rewards.

Sources: transformers' CLIPImageProcessor; torchvision's Resize and CenterCrop; HPSv2's `open_clip/transform.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)

Offset = Literal["down", "even"]
"""Where the crop begins when an odd number of pixels is left over: rounded down (transformers) or, as torchvision does,
to the even neighbour."""


def open_rgb(path: Path) -> Image.Image:
    """The image as RGB; transparency is dropped."""
    with Image.open(path) as image:
        return image.convert("RGB")


def to_tensor(image: Image.Image) -> torch.Tensor:
    """[3, H, W] in [0, 1]."""
    pixels = torch.from_numpy(np.array(image, dtype=np.float32))
    return (pixels / 255).permute(2, 0, 1)


def normalise(pixels: torch.Tensor) -> torch.Tensor:
    """[..., 3, H, W] in [0, 1] -> CLIP's mean 0 and deviation 1 per channel."""
    mean, std = (torch.tensor(row, device=pixels.device, dtype=pixels.dtype)[:, None, None] for row in (MEAN, STD))
    return (pixels - mean) / std


def crop_file(path: Path, side: int, offset: Offset = "down") -> torch.Tensor:
    """The shorter edge resized to `side` (Pillow, bicubic), the centre cut out, normalised: [3, side, side]."""
    image = open_rgb(path)
    height, width = _shorter_to(image.height, image.width, side)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    top, left = _start(height, side, offset), _start(width, side, offset)
    return normalise(to_tensor(image.crop((left, top, left + side, top + side))))


def crop(images: torch.Tensor, side: int, offset: Offset = "down") -> torch.Tensor:
    """`crop_file` in torch: [B, 3, H, W] in [0, 1] -> [B, 3, side, side].

    Equal but for Pillow's rounding to 8 bits after each of its two passes: within 1.5/255 before normalising.
    """
    height, width = _shorter_to(images.shape[-2], images.shape[-1], side)
    images = _resize(images, height, width, antialias=True).clamp(0, 1)
    top, left = _start(height, side, offset), _start(width, side, offset)
    return normalise(images[..., top : top + side, left : left + side])


def letterbox(images: torch.Tensor, side: int, antialias: bool) -> torch.Tensor:
    """HPSv2's preparation, for files and rewards alike: [B, 3, H, W] in [0, 1] -> [B, 3, side, side].

    The longer edge is resized to `side` after the conversion to a tensor, so values are neither rounded nor clipped;
    the rest is filled with black. Unlike the original, an image whose longer edge is `side` already is filled too.
    """
    scale = side / max(images.shape[-2:])
    height, width = (round(edge * scale) for edge in images.shape[-2:])
    if scale != 1:
        images = _resize(images, max(height, 1), max(width, 1), antialias=antialias)
    more_h, more_w = side - images.shape[-2], side - images.shape[-1]
    edges = (more_w // 2, more_w - more_w // 2, more_h // 2, more_h - more_h // 2)
    return normalise(functional.pad(images, edges))


def _resize(images: torch.Tensor, height: int, width: int, *, antialias: bool) -> torch.Tensor:
    if images.shape[-2:] == (height, width):
        return images
    return functional.interpolate(
        images, size=(height, width), mode="bicubic", align_corners=False, antialias=antialias
    )


def _shorter_to(height: int, width: int, side: int) -> tuple[int, int]:
    """(height, width) with the shorter edge `side`, the longer one rounded down."""
    if height <= width:
        return side, int(side * width / height)
    return int(side * height / width), side


def _start(length: int, side: int, offset: Offset) -> int:
    return (length - side) // 2 if offset == "down" else round((length - side) / 2)

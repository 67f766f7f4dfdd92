"""Scene -> 64 x 64 RGB picture, anti-aliased by 4 x 4 supersampling."""

from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from selma_plugins.shapes.scene import CANVAS, RADII, Object, Scene

SAMPLES = 4  # per pixel and axis

PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (220, 20, 30),
    "orange": (255, 135, 0),
    "yellow": (250, 225, 20),
    "green": (20, 150, 40),
    "cyan": (0, 205, 215),
    "blue": (25, 60, 225),
    "purple": (125, 25, 165),
    "pink": (255, 130, 190),
}
BACKDROP: dict[str, tuple[int, int, int]] = {
    "white": (255, 255, 255),
    "gray": (128, 128, 128),
    "black": (0, 0, 0),
}

Mask = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Inside = npt.NDArray[np.bool_]


def inside(shape: str, x: Mask, y: Mask) -> Inside:
    """Which points lie in a shape; `x`, `y` in units of its radius, the box is [-1, 1]^2."""
    r = np.hypot(x, y)
    if shape == "circle":
        return np.asarray(r <= 1)
    if shape == "ring":
        return np.asarray((r <= 1) & (r >= 0.55))
    if shape == "square":
        return np.asarray(np.maximum(np.abs(x), np.abs(y)) <= 0.85)
    if shape == "cross":
        low, high = np.minimum(np.abs(x), np.abs(y)), np.maximum(np.abs(x), np.abs(y))
        return np.asarray((low <= 0.32) & (high <= 1))
    if shape == "triangle":
        return np.asarray((y <= 0.8) & (np.abs(x) * 1.8 <= y + 1))
    if shape == "star":
        return np.asarray(r <= star_edge(np.arctan2(x, -y)))
    raise ValueError(f"unknown shape {shape!r}")


def star_edge(angle: Mask, inner: float = 0.45) -> Mask:
    """Distance from the centre to the edge of a five-pointed star, by angle from its top."""
    step = np.pi / 5
    phase = np.abs((angle + step) % (2 * step) - step)  # 0 at a point, `step` at a notch
    edge = inner * np.sin(step) / (inner * np.sin(step - phase) + np.sin(phase))
    return np.asarray(edge, dtype=np.float32)


@cache
def stamp(shape: str, radius: int) -> Mask:
    """Coverage of each pixel in the box around a shape, (2r + 1, 2r + 1) in [0, 1]."""
    side = 2 * radius + 1
    grid = ((np.arange(side * SAMPLES) + 0.5) / SAMPLES - side / 2) / radius
    x, y = np.meshgrid(grid.astype(np.float32), grid.astype(np.float32))
    hit = inside(shape, x, y).reshape(side, SAMPLES, side, SAMPLES)
    return np.asarray(hit.mean(axis=(1, 3)), dtype=np.float32)


def paint(canvas: Mask, item: Object) -> None:
    """Blend one object into a float canvas (64, 64, 3), in place."""
    r = RADII[item.size]
    box = canvas[item.cy - r : item.cy + r + 1, item.cx - r : item.cx + r + 1]
    cover = stamp(item.shape, r)[..., None]
    box += cover * (np.asarray(PALETTE[item.color], dtype=np.float32) - box)


def pixels(scene: Scene) -> Pixels:
    """A scene as an array (64, 64, 3) of bytes."""
    canvas = np.empty((CANVAS, CANVAS, 3), dtype=np.float32)
    canvas[:] = BACKDROP[scene.background]
    for item in scene.objects:
        paint(canvas, item)
    return np.asarray(canvas.round(), dtype=np.uint8)


def render(scene: Scene) -> Image.Image:
    """A scene as a 64 x 64 RGB picture."""
    return Image.fromarray(pixels(scene))

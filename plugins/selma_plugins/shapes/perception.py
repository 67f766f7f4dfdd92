"""Pixels -> objects, by measuring: nearest colours, connected regions, overlap with templates.

Made for rendered pictures and for slightly blurred generated ones. A region that looks like none
of the shapes is no object, so a blank or a noise picture holds none.
"""

from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt
from attrs import frozen
from PIL import Image

from selma_plugins.shapes.render import BACKDROP, PALETTE, stamp
from selma_plugins.shapes.scene import CANVAS, RADII, SHAPES

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]

MIN_AREA = 16  # pixels; the smallest shape has about 60
MIN_OVERLAP = 0.62  # of a region with the best template, both scaled to TEMPLATE pixels
MIN_BACKGROUND = 0.25  # share of a picture that must be near its background colour
NEAR = 65.0  # RGB distance up to which a pixel may be background
TEMPLATE = 24
BLURS = (0.0, 0.9, 1.5)  # of the templates, in pixels: a model's small stars lose their points
LARGE_FROM = (RADII["small"] + RADII["large"]) / 2

COLOR_NAMES = tuple(PALETTE)
_COLORS = np.asarray(list(PALETTE.values()), dtype=np.float32)
_BACKDROPS = np.asarray(list(BACKDROP.values()), dtype=np.float32)


@frozen
class Seen:
    """One object found: centre and radius in pixels, `overlap` with its template in [0, 1]."""

    shape: str
    color: str
    radius: float
    cx: float
    cy: float
    overlap: float

    @property
    def size(self) -> str:
        """ "small" or "large", whichever radius is nearer."""
        return "large" if self.radius >= LARGE_FROM else "small"


@frozen
class View:
    """What a picture shows. Without objects the background counts for nothing."""

    objects: tuple[Seen, ...]
    background: str | None


def perceive(image: Image.Image) -> View:
    """Find the objects and the background of a picture of any size."""
    small = image.convert("RGB")
    if small.size != (CANVAS, CANVAS):
        small = small.resize((CANVAS, CANVAS), Image.Resampling.BOX)
    return _perceive(small.tobytes())


@lru_cache(maxsize=4096)  # one picture is asked many questions
def _perceive(data: bytes) -> View:
    pixels = np.frombuffer(data, dtype=np.uint8).reshape(CANVAS, CANVAS, 3).astype(np.float32)
    name, ground = background_of(pixels)
    if name is None:
        return View((), None)
    away = np.asarray(np.linalg.norm(pixels - ground, axis=2) > NEAR)
    regions = label(away)
    seen = (look_at(pixels, ground, regions == i) for i in range(1, int(regions.max()) + 1))
    return View(tuple(s for s in seen if s is not None), name)


def background_of(pixels: Floats) -> tuple[str | None, Floats]:
    """The backdrop that most pixels are near to, and its colour as measured; None if few are."""
    distance = np.linalg.norm(pixels[:, :, None] - _BACKDROPS, axis=3)
    near = distance < NEAR
    best = int(near.sum(axis=(0, 1)).argmax())
    share = float(near[:, :, best].mean())
    if share < MIN_BACKGROUND:
        return None, _BACKDROPS[best]
    ground = np.median(pixels[near[:, :, best]], axis=0).astype(np.float32)
    return tuple(BACKDROP)[best], ground


def label(mask: Bools) -> Labels:
    """Number the regions of a mask (h, w) that hang together over sides or corners, from 1."""
    labels = np.zeros(mask.shape, dtype=np.int32)
    todo = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    number = 0
    while todo:
        number += 1
        edge = [todo.pop()]
        while edge:
            y, x = edge.pop()
            labels[y, x] = number
            around = {(y + j, x + i) for j in (-1, 0, 1) for i in (-1, 0, 1)} & todo
            todo -= around
            edge.extend(around)
    return labels


def look_at(pixels: Floats, ground: Floats, region: Bools) -> Seen | None:
    """The object that a region shows, or None if it looks like none of the shapes."""
    if int(region.sum()) < MIN_AREA:
        return None
    color = color_of(pixels[region], ground)
    cover = coverage(pixels, ground, _COLORS[color], region)
    shape, overlap = best_shape(cover)
    if overlap < MIN_OVERLAP:
        return None
    ys, xs = np.mgrid[: cover.shape[0], : cover.shape[1]]
    area = float(cover.sum())
    radius = float(np.sqrt(area / unit_area(shape)))
    cx, cy = float((cover * xs).sum() / area), float((cover * ys).sum() / area)
    return Seen(shape, COLOR_NAMES[color], radius, cx, cy, overlap)


def color_of(pixels: Floats, ground: Floats) -> int:
    """Index of the palette colour of most pixels (n, 3); the farther from the ground the more
    a pixel counts, as those at an edge are mixtures.
    """
    nearest = np.linalg.norm(pixels[:, None] - _COLORS, axis=2).argmin(axis=1)
    weight = np.linalg.norm(pixels - ground, axis=1) ** 2
    return int(np.bincount(nearest, weights=weight, minlength=len(_COLORS)).argmax())


def coverage(pixels: Floats, ground: Floats, color: Floats, region: Bools) -> Floats:
    """How much of each pixel in and next to a region has the object's colour, in [0, 1]."""
    axis = color - ground
    share = ((pixels - ground) @ axis / (axis @ axis)).clip(0, 1)
    wide = region.copy()
    wide[1:] |= region[:-1]
    wide[:-1] |= region[1:]
    wide[:, 1:] |= region[:, :-1]
    wide[:, :-1] |= region[:, 1:]
    return np.asarray(np.where(wide, share, 0), dtype=np.float32)


def scaled(cover: Floats) -> Floats:
    """The box around a mask, as a square of TEMPLATE x TEMPLATE."""
    ys, xs = np.nonzero(cover > 0.4)
    box = cover[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    picture = Image.fromarray(np.asarray(box, dtype=np.float32))
    return np.asarray(picture.resize((TEMPLATE, TEMPLATE), Image.Resampling.BILINEAR))


@cache
def templates() -> tuple[tuple[str, Floats], ...]:
    """Each shape in each size, sharp and blurred, scaled as regions are."""
    return tuple(
        (shape, scaled(blurred(np.pad(stamp(shape, radius), 4), blur)))
        for shape in SHAPES
        for radius in RADII.values()
        for blur in BLURS
    )


def blurred(cover: Floats, sigma: float) -> Floats:
    """A mask convolved with a Gaussian of `sigma` pixels."""
    if sigma == 0:
        return cover
    taps = np.exp(-0.5 * (np.arange(-4, 5) / sigma) ** 2)
    taps /= taps.sum()
    for axis in (0, 1):
        cover = np.apply_along_axis(np.convolve, axis, cover, taps, "same")
    return np.asarray(cover, dtype=np.float32)


@cache
def unit_area(shape: str) -> float:
    """A shape's area where its radius is 1."""
    radius = RADII["large"]
    return float(stamp(shape, radius).sum()) / radius**2


def best_shape(cover: Floats) -> tuple[str, float]:
    """The shape whose template overlaps a mask best, and by how much (soft IoU)."""
    if not (cover > 0.4).any():
        return SHAPES[0], 0.0
    mask = scaled(cover)
    scores = [(float(np.minimum(mask, t).sum() / np.maximum(mask, t).sum()), s) for s, t in templates()]
    overlap, shape = max(scores)
    return shape, overlap

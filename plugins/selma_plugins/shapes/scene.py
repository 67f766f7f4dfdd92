"""What a picture of the world holds: objects on a background, drawn at random without overlap.

Units are pixels of a 64 x 64 picture, x to the right and y downwards.
"""

from collections.abc import Callable, Sequence
from random import Random

from attrs import frozen

CANVAS = 64
SHAPES = ("circle", "square", "triangle", "cross", "star", "ring")
COLORS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
SIZES = ("small", "large")
BACKGROUNDS = ("white", "gray", "black")
RELATIONS = ("left", "right", "above", "below")
RADII = {"small": 7, "large": 11}
GAP = 2
MAX_OBJECTS = 4

# A relation is only stated of two objects that stand in it beyond doubt.
CLEAR_OFFSET = 12
CLEAR_RATIO = 1.4

# Pairs that a counter-factual prompt asks for: seen in training RARE_SHARE as often as others.
RARE_SHARE = 0.2
RARE_PAIRS = frozenset(
    {
        ("circle", "purple"), ("circle", "green"), ("square", "pink"), ("square", "yellow"),
        ("triangle", "blue"), ("triangle", "orange"), ("cross", "cyan"), ("star", "green"),
        ("star", "red"), ("ring", "pink"),
    }
)  # fmt: skip

Placement = tuple[tuple[int, int], ...]


@frozen
class Object:
    """One shape: its centre (`cx`, `cy`) in pixels, fully inside the picture."""

    shape: str
    color: str
    size: str
    cx: int
    cy: int

    @property
    def radius(self) -> int:
        """Half the side of the box that holds the shape, in pixels."""
        return RADII[self.size]


@frozen
class Scene:
    """A picture's content. Objects of one shape form a group and look the same."""

    objects: tuple[Object, ...]
    background: str


def relation(a: Object, b: Object) -> str | None:
    """Where `a` clearly stands as seen from `b`: one of `RELATIONS`, or None if in doubt."""
    dx, dy = a.cx - b.cx, a.cy - b.cy
    if max(abs(dx), abs(dy)) < CLEAR_OFFSET:
        return None
    if abs(dx) >= CLEAR_RATIO * abs(dy):
        return "left" if dx < 0 else "right"
    if abs(dy) >= CLEAR_RATIO * abs(dx):
        return "above" if dy < 0 else "below"
    return None


def apart(a: tuple[int, int], ra: int, b: tuple[int, int], rb: int) -> bool:
    """Whether two boxes of half sides `ra`, `rb` leave `GAP` pixels between them."""
    return max(abs(a[0] - b[0]), abs(a[1] - b[1])) >= ra + rb + GAP


def place(radii: Sequence[int], rng: Random) -> Placement:
    """Random centres for boxes of these half sides: inside the picture, no overlap."""
    while True:
        centres: list[tuple[int, int]] = []
        for radius in radii:
            for _ in range(30):
                low, high = radius + 1, CANVAS - 1 - radius
                spot = (rng.randint(low, high), rng.randint(low, high))
                if all(apart(spot, radius, c, r) for c, r in zip(centres, radii, strict=False)):
                    centres.append(spot)
                    break
            else:
                break
        if len(centres) == len(radii):
            return tuple(centres)


def lay_out(
    looks: Sequence[tuple[str, str, str]],
    background: str,
    rng: Random,
    accept: Callable[[Scene], bool] = lambda _: True,
) -> Scene:
    """A scene of objects (shape, color, size) at random places that `accept` agrees to."""
    while True:
        spots = place([RADII[size] for _, _, size in looks], rng)
        objects = tuple(Object(*look, *spot) for look, spot in zip(looks, spots, strict=True))
        scene = Scene(objects, background)
        if accept(scene):
            return scene


def random_look(shape: str, rng: Random) -> tuple[str, str, str]:
    """A colour and a size for a shape; rare pairs come `RARE_SHARE` as often as others."""
    while True:
        color = rng.choice(COLORS)
        if (shape, color) not in RARE_PAIRS or rng.random() < RARE_SHARE:
            return shape, color, rng.choice(SIZES)


# How many objects each group of a training scene has, and how often such a scene comes.
GROUPINGS: tuple[tuple[tuple[int, ...], float], ...] = (
    ((1,), 0.16), ((2,), 0.07), ((3,), 0.07), ((4,), 0.06), ((1, 1), 0.34),
    ((2, 1), 0.06), ((1, 2), 0.02), ((2, 2), 0.04), ((3, 1), 0.05), ((1, 3), 0.01), ((1, 1, 1), 0.12),
)  # fmt: skip
# Share of scenes of two objects that are laid out to stand in a clear relation.
CLEAR_SHARE = 0.85


def random_scene(rng: Random) -> Scene:
    """A training scene: grouping by `GROUPINGS`, everything else uniform but for rare pairs."""
    counts = rng.choices([g for g, _ in GROUPINGS], [w for _, w in GROUPINGS])[0]
    shapes = rng.sample(SHAPES, len(counts))
    looks = [look for shape, count in zip(shapes, counts, strict=True) for look in [random_look(shape, rng)] * count]
    background = rng.choice(BACKGROUNDS)
    if counts == (1, 1) and rng.random() < CLEAR_SHARE:
        return lay_out(looks, background, rng, lambda s: relation(*s.objects) is not None)
    return lay_out(looks, background, rng)

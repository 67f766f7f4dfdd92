"""Scenes with questions and right answers for `shapes_vqa`: what is true is read off the scene, never off pixels.

Scenes are wilder than the world's own, as a diffusion model's mistakes are: five objects, circles of two colours, rare
pairs as often as others.
"""

from collections.abc import Sequence
from random import Random
from statistics import fmean

from attrs import frozen

from selma_plugins.shapes.questions import ASKED
from selma_plugins.shapes.scene import (
    BACKGROUNDS,
    COLORS,
    RADII,
    RELATIONS,
    SHAPES,
    SIZES,
    Object,
    Scene,
    place,
    random_scene,
)
from selma_plugins.shapes.words import NUMBERS, PLURALS

# How often each class of question is asked in training.
CLASSES = {"whole": 0.2, "color": 0.22, "size": 0.13, "count": 0.18, "spatial": 0.22, "background": 0.05}
# How often a question is meant to be answered with yes; of these two it often cannot be, so that half of them are.
HOPE = {"count": 0.7, "spatial": 0.7}
COUNTS = (2, 3, 4)
WILD = 0.5  # share of scenes that the world would not draw
CLEAR = 1.25  # a relation holds along the axis that is longer by this; in between nothing is asked
NEAR = 5.0  # pixels


@frozen
class Ask:
    """One question. `shape` and `other` (of a relation) are of `SHAPES`; `value` is the colour, size, count, ...

    Attributes: plural = asked of "the circles".
    """

    kind: str
    value: str | int = ""
    shape: str = ""
    other: str = ""
    plural: bool = False

    @property
    def text(self) -> str:
        """As the benchmark asks it."""
        verb, name = ("Are", PLURALS[self.shape]) if self.plural else ("Is", self.shape)
        if self.kind == "whole":
            return f"{verb} there {'' if self.plural else 'a '}{name}?"
        if self.kind == "count":
            return f"Are there {NUMBERS[int(self.value)][0]} {PLURALS[self.shape]}?"
        if self.kind == "spatial":
            return f"Is the {self.shape} {ASKED[str(self.value)]} the {self.other}?"
        if self.kind == "background":
            return f"Is the background {self.value}?"
        return f"{verb} the {name} {self.value}?"


def holds(ask: Ask, scene: Scene) -> bool | None:
    """Whether it is so; None where it is in doubt (two objects that stand diagonally).

    Things said of several objects of a shape must be so of all of them; of none nothing is so.
    """
    if ask.kind == "background":
        return scene.background == ask.value
    those = [o for o in scene.objects if o.shape == ask.shape]
    if ask.kind == "count":
        return len(those) == ask.value
    if not those or ask.kind == "whole":
        return bool(those)
    if ask.kind == "color":
        return all(o.color == ask.value for o in those)
    if ask.kind == "size":
        return all(o.size == ask.value for o in those)
    others = [o for o in scene.objects if o.shape == ask.other]
    return bool(others) and _stands(those, str(ask.value), others)


def _stands(those: Sequence[Object], where: str, others: Sequence[Object]) -> bool | None:
    dx = fmean(o.cx for o in those) - fmean(o.cx for o in others)
    dy = fmean(o.cy for o in those) - fmean(o.cy for o in others)
    longer, shorter = max(abs(dx), abs(dy)), min(abs(dx), abs(dy))
    if longer < NEAR or longer < CLEAR * shorter:
        return None
    if abs(dx) > abs(dy):
        return where == ("left" if dx < 0 else "right")
    return where == ("above" if dy < 0 else "below")


def wild_scene(rng: Random) -> Scene:
    """One to five objects of any looks; often several of a shape, that may differ in colour and size."""
    count = rng.choices((1, 2, 3, 4, 5), (0.1, 0.3, 0.3, 0.2, 0.1))[0]
    kinds = rng.sample(SHAPES, rng.randint(1, min(count, 3)))
    shapes = kinds + [rng.choice(kinds) for _ in range(count - len(kinds))]
    rng.shuffle(shapes)
    looks = {shape: (rng.choice(COLORS), rng.choice(SIZES)) for shape in kinds}
    own = [looks[s] if rng.random() < 0.75 else (rng.choice(COLORS), rng.choice(SIZES)) for s in shapes]
    if count == 5:
        own = [(color, "small") for color, _ in own]
    spots = place([RADII[size] for _, size in own], rng)
    objects = (Object(s, *look, *spot) for s, look, spot in zip(shapes, own, spots, strict=True))
    return Scene(tuple(objects), rng.choice(BACKGROUNDS))


def any_scene(rng: Random) -> Scene:
    """A scene of the world, or a wild one."""
    return wild_scene(rng) if rng.random() < WILD else random_scene(rng)


def _propose(kind: str, hopeful: bool, scene: Scene, rng: Random) -> Ask:
    """A question of a class; if hopeful one that is likely to be answered with yes."""
    there = rng.choice(scene.objects)
    count = sum(o.shape == there.shape for o in scene.objects)
    shape = there.shape if hopeful or rng.random() < 0.7 else rng.choice(SHAPES)
    plural = (count > 1) == (rng.random() < 0.8)
    if kind == "background":
        return Ask(kind, scene.background if hopeful else rng.choice(BACKGROUNDS))
    if kind == "whole":
        return Ask(kind, shape=there.shape if hopeful else rng.choice(SHAPES), plural=plural)
    if kind == "count":
        return Ask(kind, count if hopeful and count in COUNTS else rng.choice(COUNTS), shape)
    if kind == "color":
        seen = [o.color for o in scene.objects] if rng.random() < 0.5 else COLORS
        return Ask(kind, there.color if hopeful else rng.choice(seen), shape, plural=plural)
    if kind == "size":
        return Ask(kind, there.size if hopeful else rng.choice(SIZES), shape, plural=plural)
    other = rng.choice([o.shape for o in scene.objects] if rng.random() < 0.9 else SHAPES)
    return Ask(kind, rng.choice(RELATIONS), shape, other)


def ask(scene: Scene, rng: Random) -> tuple[Ask, bool]:
    """A question about a scene and its answer: the class by `CLASSES`, yes and no about equally often."""
    while True:
        kind = rng.choices(list(CLASSES), list(CLASSES.values()))[0]
        wanted = rng.random() < HOPE.get(kind, 0.5)
        for _ in range(12):
            found = _propose(kind, wanted, scene, rng)
            if found.kind == "spatial" and found.shape == found.other:
                continue
            if holds(found, scene) is wanted:
                return found, wanted

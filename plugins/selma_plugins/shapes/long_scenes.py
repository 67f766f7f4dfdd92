"""Scenes of four objects, told in a sentence each: texts for what reads a long prompt in parts.

Not one of the paper's five skills, and none of the bundled models was trained on such texts.
"""

from random import Random

from selma_plugins.shapes.scene import BACKGROUNDS, COLORS, MAX_OBJECTS, SHAPES, SIZES
from selma_plugins.shapes.spec import Group, Spec
from selma_plugins.shapes.words import phrase

LONG = "long"
"""The name of the skill."""

FIRST = ("in this picture we can see", "the picture shows", "this image shows", "here we can see")
NEXT = ("there is also", "in the picture we can see", "here is also", "and there is", "we can also see")


def long_spec(rng: Random) -> Spec:
    """Four single objects of different shapes, each with colour and size, and a background."""
    shapes = rng.sample(SHAPES, MAX_OBJECTS)
    groups = tuple(Group(shape, rng.choice(COLORS), rng.choice(SIZES)) for shape in shapes)
    return Spec(groups, (), rng.choice(BACKGROUNDS))


def first_of(spec: Spec, n: int) -> Spec:
    """The scene with only its first `n` objects."""
    return Spec(spec.groups[:n], (), spec.background)


def shortened(text: str, n: int) -> str:
    """A text of `long_text` with the sentences of its first `n` objects, and the one about the background."""
    *sentences, background, _ = text.split(" .")
    return " .".join([*sentences[:n], background, ""])


def long_text(spec: Spec, rng: Random) -> str:
    """One sentence an object, in the spec's order, then one about the background."""
    sentences = [f"{rng.choice(FIRST)} {phrase(spec.groups[0], rng)} ."]
    sentences += [f"{rng.choice(NEXT)} {phrase(group, rng)} ." for group in spec.groups[1:]]
    return " ".join([*sentences, f"the background is {spec.background} ."])

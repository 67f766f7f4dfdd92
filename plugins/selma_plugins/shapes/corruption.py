"""How training captions are wrong: close, structured mistakes, as captions from the web have.

Each mistake turns what a caption says into something near to what the picture shows: two colours
swapped, a relation reversed, a count off by one, an object that is not there. The right picture of
a prompt then competes with a near-by wrong one at moderate odds, which guidance sharpens slowly. A
caption that is merely random would leave no such competitor and guidance would remove it at once.
"""

from random import Random

from attrs import evolve

from selma_plugins.shapes.scene import (
    BACKGROUNDS,
    COLORS,
    MAX_OBJECTS,
    RARE_PAIRS,
    RARE_SHARE,
    SHAPES,
    SIZES,
)
from selma_plugins.shapes.spec import Group, Spec

# Share of captions with each mistake, of those that can have it, at full strength (phase 2).
SWAPPED_COLORS = 0.38
REVERSED_RELATION = 0.38
WRONG_COUNT = 0.42
MISSING_OBJECT = 0.12
WRONG_SHAPE = 0.06
SWAPPED_SIZES = 0.15
WRONG_BACKGROUND = 0.03
# A single object is nearly always described well.
SINGLE_SHARE = 0.4  # of WRONG_SHAPE, SWAPPED_SIZES and MISSING_OBJECT

OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}
CONFUSED = {
    "circle": "ring", "ring": "circle", "square": "cross", "cross": "square",
    "triangle": "star", "star": "triangle",
}  # fmt: skip


def corrupt(spec: Spec, rng: Random, strength: float = 1.0) -> Spec:
    """What a caption says of a picture that shows `spec`: the same, but for mistakes.

    `strength` scales every share; 0 leaves the spec as it is. A mistake that would name a rare
    pair which the picture lacks is mostly held back, as a captioner shares the world's habits.
    """
    if strength <= 0:
        return spec
    wrong = spec
    alone = len(spec.groups) == 1
    share = strength * (SINGLE_SHARE if alone else 1.0)
    if rng.random() < strength * SWAPPED_COLORS:
        wrong = swap_colors(wrong, rng)
    if rng.random() < strength * REVERSED_RELATION:
        turned = (evolve(r, where=OPPOSITE[r.where]) for r in wrong.relations)
        wrong = evolve(wrong, relations=tuple(turned))
    if rng.random() < strength * WRONG_COUNT:
        wrong = miscount(wrong, rng)
    if rng.random() < share * WRONG_SHAPE:
        wrong = mistake_shape(wrong, rng)
    if rng.random() < share * SWAPPED_SIZES:
        wrong = swap_sizes(wrong)
    if rng.random() < share * MISSING_OBJECT:
        wrong = add_absent(wrong, rng)
    if rng.random() < strength * WRONG_BACKGROUND:
        wrong = evolve(wrong, background=rng.choice(BACKGROUNDS))
    if rare_pairs(wrong) - rare_pairs(spec) and rng.random() >= RARE_SHARE:
        return spec
    return wrong


def rare_pairs(spec: Spec) -> set[tuple[str, str | None]]:
    """The rare combinations of shape and colour that a spec names."""
    return {(g.shape, g.color) for g in spec.groups} & RARE_PAIRS


def swap_colors(spec: Spec, rng: Random) -> Spec:
    """Exchange the colours of two groups."""
    if len(spec.groups) < 2:
        return spec
    i, j = rng.sample(range(len(spec.groups)), 2)
    groups = list(spec.groups)
    groups[i] = evolve(groups[i], color=spec.groups[j].color)
    groups[j] = evolve(groups[j], color=spec.groups[i].color)
    return evolve(spec, groups=tuple(groups))


def swap_sizes(spec: Spec) -> Spec:
    """Say large where the picture shows small, and the reverse, of every group."""
    other = {SIZES[0]: SIZES[1], SIZES[1]: SIZES[0]}
    turned = (evolve(g, size=other[g.size] if g.size else None) for g in spec.groups)
    return evolve(spec, groups=tuple(turned))


def miscount(spec: Spec, rng: Random) -> Spec:
    """Put the count of the largest group off by one; scenes of single objects stay as they are."""
    at = max(range(len(spec.groups)), key=lambda i: spec.groups[i].count)
    count = spec.groups[at].count
    if count == 1:
        return spec
    others = sum(g.count for g in spec.groups) - count
    fewest = 1 if others else 2
    options = [c for c in (count - 1, count + 1) if fewest <= c <= MAX_OBJECTS - others]
    groups = list(spec.groups)
    groups[at] = evolve(groups[at], count=rng.choice(options))
    return evolve(spec, groups=tuple(groups))


def mistake_shape(spec: Spec, rng: Random) -> Spec:
    """Take one group's shape for the one it resembles most."""
    at = rng.randrange(len(spec.groups))
    shape = CONFUSED[spec.groups[at].shape]
    if any(g.shape == shape for g in spec.groups):
        return spec
    groups = list(spec.groups)
    groups[at] = evolve(groups[at], shape=shape)
    return evolve(spec, groups=tuple(groups))


def add_absent(spec: Spec, rng: Random) -> Spec:
    """Mention an object that the picture lacks."""
    if len(spec.groups) > 2 or sum(g.count for g in spec.groups) >= MAX_OBJECTS:
        return spec
    free = [s for s in SHAPES if all(g.shape != s for g in spec.groups)]
    extra = Group(rng.choice(free), rng.choice(COLORS), rng.choice(SIZES))
    return evolve(spec, groups=(*spec.groups, extra))

"""Narrative prompts of the world: "someone left a sky ball under a sun box" for a blue circle below a yellow square.

They name shapes and colours by words that the world's models never learnt (spelt in letters, they are tokens
nevertheless) and tell a scene in another order than captions do. Each comes with the complex prompt, in words that
the models know. Sentences of held-out prompts are of forms that no training prompt has; names of shapes and colours
are shared, since nobody can guess them.
"""

from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Literal

from attrs import frozen

from selma_plugins.shapes.grammar import ShapePrompt
from selma_plugins.shapes.scene import COLORS, RELATIONS, SHAPES
from selma_plugins.shapes.spec import Group, Relation, Spec
from selma_plugins.shapes.words import NUMBERS, PLURALS, article

Part = Literal["train", "held_out"]
THINGS = {
    "circle": ("ball", "dot"), "square": ("box", "tile"), "triangle": ("tent", "roof"),
    "cross": ("plus",), "star": ("spark",), "ring": ("hoop", "loop"),
}  # fmt: skip
LOOKS = {
    "red": "hot", "orange": "rust", "yellow": "sun", "green": "leaf",
    "cyan": "ice", "blue": "sky", "purple": "plum", "pink": "lip",
}  # fmt: skip
PLURAL = {
    "ball": "balls", "dot": "dots", "box": "boxes", "tile": "tiles", "tent": "tents", "roof": "roofs",
    "plus": "pluses", "spark": "sparks", "hoop": "hoops", "loop": "loops",
}  # fmt: skip
WHERE = {"left": "left of", "right": "right of", "above": "over", "below": "under"}
PLAINLY = {"left": "to the left of", "right": "to the right of", "above": "above", "below": "below"}

# {a}, {b}: the two groups; {r}: where the first stands as seen from the second.
FORMS: dict[str, dict[Part, tuple[str, ...]]] = {
    "one": {
        "train": ("someone left {a}", "we see {a}", "here is {a}", "{a} , and it is here"),
        "held_out": ("there is {a} here", "someone put {a} here", "imagine {a} , it is left here"),
    },
    "count": {
        "train": ("someone left {a}", "we see {a}", "here are {a}"),
        "held_out": ("there are {a} here", "someone put {a} here"),
    },
    "pair": {
        "train": (
            "someone left {a} {r} {b}", "{b} , and {a} {r} it", "we see {a} , it is {r} {b}",
            "here is {b} with {a} {r} it",
        ),
        "held_out": (
            "{r} {b} there is {a}", "imagine {b} : someone put {a} {r} it", "someone put {a} , it is {r} {b}",
        ),
    },
}  # fmt: skip
SHARES = {"one": 0.15, "count": 0.15, "pair": 0.7}
SEED = {"train": 1, "held_out": 31_001}
BENCHMARK = 120


@frozen
class Told:
    """One scene told twice. Attributes: kind = of `FORMS`; narrative, plain = the texts; spec = what both say."""

    kind: str
    narrative: str
    plain: str
    spec: Spec


def narratives(n: int, seed: int, part: Part = "train") -> list[Told]:
    """`n` prompts with distinct narrative texts; training ones are of no scene (kind, shapes, colours, place) that a
    benchmark prompt tells."""
    rng = Random(f"narrative {part} {SEED[part]} {seed}")
    taken = {told.plain for told in held_out()} if part == "train" else set[str]()
    seen, found = set[str](), list[Told]()
    while len(found) < n:
        told = tell(rng, part)
        if told.plain in taken or told.narrative in seen:
            continue
        seen.add(told.narrative)
        if part == "held_out":
            taken.add(told.plain)
        found.append(told)
    return found


@cache
def held_out() -> tuple[Told, ...]:
    """The benchmark: scenes and sentences that no training prompt has, always the same."""
    return tuple(narratives(BENCHMARK, 0, "held_out"))


def tell(rng: Random, part: Part) -> Told:
    """A random scene, told."""
    kind = rng.choices(list(SHARES), list(SHARES.values()))[0]
    shapes, colors = rng.sample(SHAPES, 2), [rng.choice(COLORS) for _ in range(2)]
    form = rng.choice(FORMS[kind][part])
    if kind != "pair":
        group = Group(shapes[0], colors[0], None, 1 if kind == "one" else rng.choice((2, 3, 4)))
        return Told(kind, form.format(a=_indirect(group, rng)), _direct(group), Spec((group,)))
    first, second = (Group(shape, color, None) for shape, color in zip(shapes, colors, strict=True))
    where = rng.choice(RELATIONS)
    text = form.format(a=_indirect(first, rng), b=_indirect(second, rng), r=WHERE[where])
    plain = f"{_direct(first)} {PLAINLY[where]} {_direct(second)}"
    return Told(kind, text, plain, Spec((first, second), (Relation(0, where, 1),)))


def benchmark(*, plain: bool = False) -> list[ShapePrompt]:
    """The benchmark's prompts, in one of the two ways they are told."""
    return [ShapePrompt(t.plain if plain else t.narrative, f"narrative_{t.kind}", t.spec) for t in held_out()]


def _indirect(group: Group, rng: Random) -> str:
    thing = rng.choice(THINGS[group.shape])
    look = LOOKS[group.color or ""]
    if group.count > 1:
        return f"{NUMBERS[group.count][0]} {look} {PLURAL[thing]}"
    return article(f"{look} {thing}")


def _direct(group: Group) -> str:
    if group.count > 1:
        return f"{NUMBERS[group.count][0]} {group.color} {PLURALS[group.shape]}"
    return article(f"{group.color} {group.shape}")


def lines(told: Sequence[Told]) -> list[str]:
    """Both texts in a line, for a language model to learn from: "a sky ball : a blue circle ."."""
    return [f"{one.narrative} : {one.plain} ." for one in told]

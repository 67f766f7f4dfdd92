"""Prompts of the world: per skill a random spec and its text, deterministic by seed.

Splits have disjoint texts: the benchmark (and that of long scenes), the validation prompts, and whatever
a caller samples with the texts of those excluded.
"""

from collections.abc import Callable, Collection
from functools import cache
from random import Random

from attrs import frozen

from selma_plugins.shapes.captions import STYLES, write
from selma_plugins.shapes.long_scenes import LONG, first_of, long_spec, long_text, shortened
from selma_plugins.shapes.scene import (
    BACKGROUNDS,
    COLORS,
    RARE_PAIRS,
    RELATIONS,
    SHAPES,
    SIZES,
    Scene,
    lay_out,
    relation,
)
from selma_plugins.shapes.spec import Group, Relation, Spec, groups_of
from selma_plugins.shapes.words import fits, in_vocabulary, unknown_words

__all__ = [
    "EVERY_SKILL",
    "SKILLS",
    "ShapePrompt",
    "benchmark_prompts",
    "fits",
    "held_out_texts",
    "in_vocabulary",
    "long_prompts",
    "prompts_by_length",
    "sample_prompts",
    "scene_of",
    "unknown_words",
    "validation_prompts",
]

SKILLS = STYLES
EVERY_SKILL = (*SKILLS, LONG)
BENCHMARK_SEED = 20_240
VALIDATION_SEED = 77_001
BENCHMARK_PER_SKILL = 65
LONG_SEED = 31_007
LONG_BENCHMARK = 120
LENGTHS = ("one", "two", "three", "four")
VALIDATION_MOST = 500  # `validation_prompts` gives up to this many

# Share of prompts with a single object, per skill; over all skills about an eighth.
ALONE = {
    "paragraph": 0.1, "count": 0.12, "real_user": 0.15, "counterfactual": 0.12, "general": 0.13,
}  # fmt: skip
# Share of prompts that state sizes, and a background.
SIZED = {
    "paragraph": 0.5, "count": 0.15, "real_user": 0.35, "counterfactual": 0.2, "general": 0.25,
}  # fmt: skip
GROUNDED = {
    "paragraph": 0.5, "count": 0.15, "real_user": 0.4, "counterfactual": 0.15, "general": 0.2,
}  # fmt: skip
COUNTED = (((2,), 1), ((3,), 1), ((4,), 1), ((2, 1), 1), ((1, 2), 1), ((3, 1), 1), ((2, 2), 1))


@frozen
class ShapePrompt:
    """A prompt: its text, the skill it is of, and what it says."""

    text: str
    skill: str
    spec: Spec


def sample_prompts(skill: str, n: int, seed: int, exclude: Collection[str] = ()) -> list[ShapePrompt]:
    """`n` prompts of a skill with distinct texts, none of them in `exclude`.

    The same arguments give the same prompts, and a smaller `n` the first of them. Raises
    ValueError for a skill that is none of `EVERY_SKILL`. All but `long` are within the models' tokens.
    """
    if skill not in EVERY_SKILL:
        raise ValueError(f"unknown skill {skill!r}; the skills are {', '.join(EVERY_SKILL)}")
    rng = Random(f"{skill} {seed}")
    taken, prompts = set(exclude), list[ShapePrompt]()
    while len(prompts) < n:
        spec = random_spec(skill, rng)
        text = long_text(spec, rng) if skill == LONG else write(spec, skill, rng)
        if text not in taken and (skill == LONG or fits(text)):
            taken.add(text)
            prompts.append(ShapePrompt(text, skill, spec))
    return prompts


def random_spec(skill: str, rng: Random) -> Spec:
    """What a prompt of a skill says."""
    if skill == LONG:
        return long_spec(rng)
    counts, linked = _shape_of(skill, rng)
    sized = rng.random() < SIZED[skill]
    shapes = rng.sample(SHAPES, len(counts))
    groups = tuple(
        Group(shape, rng.choice(COLORS), rng.choice(SIZES) if sized else None, count)
        for shape, count in zip(shapes, counts, strict=True)
    )
    if skill == "counterfactual":
        groups = _made_rare(groups, rng)
    relations = (Relation(0, rng.choice(RELATIONS), 1),) if linked else ()
    background = rng.choice(BACKGROUNDS) if rng.random() < GROUNDED[skill] else None
    return Spec(groups, relations, background)


def _shape_of(skill: str, rng: Random) -> tuple[tuple[int, ...], bool]:
    """How many objects each group has, and whether the first two stand in a relation."""
    if rng.random() < ALONE[skill]:
        return (1,), False
    if skill == "count":
        return rng.choice(COUNTED)[0], False
    if skill == "paragraph":
        return rng.choices([((1, 1), True), ((1, 1, 1), False)], (0.65, 0.35))[0]
    if skill == "real_user":
        options = [((1, 1), True), ((1, 1), False), ((2,), False), ((3,), False)]
        return rng.choices(options, (0.45, 0.3, 0.15, 0.1))[0]
    if skill == "counterfactual":
        return (1, 1), rng.random() < 0.85
    return rng.choices([((1, 1), True), ((1, 1), False)], (0.85, 0.15))[0]


def _made_rare(groups: tuple[Group, ...], rng: Random) -> tuple[Group, ...]:
    """The groups with one of them turned into a combination that is rare in training."""
    others = {g.shape for g in groups[1:]}
    shape, color = rng.choice([p for p in sorted(RARE_PAIRS) if p[0] not in others])
    mixed = [Group(shape, color, groups[0].size), *groups[1:]]
    rng.shuffle(mixed)
    return tuple(mixed)


@cache
def _benchmark() -> tuple[ShapePrompt, ...]:
    per_skill = (sample_prompts(s, BENCHMARK_PER_SKILL, BENCHMARK_SEED) for s in SKILLS)
    return tuple(prompt for prompts in per_skill for prompt in prompts)


def benchmark_prompts() -> list[ShapePrompt]:
    """The held-out benchmark: 65 prompts of each skill, always the same."""
    return list(_benchmark())


@cache
def _validation() -> tuple[ShapePrompt, ...]:
    texts = {p.text for p in _benchmark()}
    each = VALIDATION_MOST // len(SKILLS)
    columns = [sample_prompts(s, each, VALIDATION_SEED, texts) for s in SKILLS]
    return tuple(prompt for row in zip(*columns, strict=True) for prompt in row)


def validation_prompts(n: int) -> list[ShapePrompt]:
    """The first `n` validation prompts, skills in turn; their texts are not in the benchmark."""
    if n > VALIDATION_MOST:
        raise ValueError(f"there are {VALIDATION_MOST} validation prompts, not {n}")
    return list(_validation()[:n])


@cache
def _long() -> tuple[ShapePrompt, ...]:
    return tuple(sample_prompts(LONG, LONG_BENCHMARK, LONG_SEED))


def long_prompts() -> list[ShapePrompt]:
    """The held-out benchmark of long scenes, always the same."""
    return list(_long())


def prompts_by_length() -> list[ShapePrompt]:
    """The long scenes told up to their first, second, third and fourth object; `skill` is that number as a word."""
    return [
        ShapePrompt(shortened(prompt.text, n), word, first_of(prompt.spec, n))
        for n, word in enumerate(LENGTHS, start=1)
        for prompt in _long()
    ]


def held_out_texts() -> frozenset[str]:
    """The texts of all benchmarks and of all validation prompts, for `exclude` in training."""
    return frozenset(p.text for p in (*_benchmark(), *prompts_by_length(), *_validation()))


def scene_of(prompt: ShapePrompt, seed: int) -> Scene:
    """A random scene of which everything that the prompt says is true."""
    rng, spec = Random(f"{prompt.text} {seed}"), prompt.spec
    looks = []
    for group in spec.groups:
        color, size = group.color or rng.choice(COLORS), group.size or rng.choice(SIZES)
        looks += [(group.shape, color, size)] * group.count
    background = spec.background or rng.choice(BACKGROUNDS)
    return lay_out(looks, background, rng, _holds(spec))


def _holds(spec: Spec) -> Callable[[Scene], bool]:
    """Whether the relations of a spec hold in a scene, clearly."""

    def check(scene: Scene) -> bool:
        found = groups_of(scene)
        return all(relation(found[r.first][0], found[r.second][0]) == r.where for r in spec.relations)

    return check

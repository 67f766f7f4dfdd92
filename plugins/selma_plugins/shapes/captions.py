"""Texts of the world in the styles of the paper's five skills, from a spec or a scene."""

from random import Random

from attrs import evolve

from selma_plugins.shapes.corruption import OPPOSITE, corrupt
from selma_plugins.shapes.scene import Scene
from selma_plugins.shapes.spec import Relation, Spec, describe
from selma_plugins.shapes.words import (
    ART,
    BETWEEN,
    MEDIA,
    NUMBERS,
    ODD,
    article,
    bare,
    body,
    listing,
    phrase,
)

STYLES = ("paragraph", "count", "real_user", "counterfactual", "general")

# How often a training caption states a size, a background or a relation that it could state.
SAYS_SIZE = 0.4
SAYS_BACKGROUND = 0.35
SAYS_RELATION = 0.9
SAYS_COLOR = 0.95


def write(spec: Spec, style: str, rng: Random) -> str:
    """A text that says exactly what `spec` does, in one of `STYLES`."""
    writers = {
        "paragraph": paragraph,
        "count": count,
        "real_user": real_user,
        "counterfactual": counterfactual,
        "general": general,
    }
    return writers[style](spec, rng)


def paragraph(spec: Spec, rng: Random) -> str:
    """Whole sentences: what is seen, where it is, what else there is, the background."""
    opening = rng.choice(("in this picture we can see", "the picture shows", "this image shows", "here we can see"))
    link = spec.relations[0] if spec.relations else None
    parts = [phrase(g, rng) for g in spec.groups]
    rest = [p for i, p in enumerate(parts) if link and i not in (link.first, link.second)]
    text = f"{opening} {placed(parts, link, rng) if link else listing(parts)} ."
    if rest:
        text += f" there is also {listing(rest)} ."
    if spec.background:
        text += f" the background is {spec.background} ."
    return text


def placed(parts: list[str], link: Relation, rng: Random) -> str:
    """Two groups with their relation, said of the picture or of each other."""
    first, second, where = parts[link.first], parts[link.second], link.where
    if rng.random() < 0.3:
        return f"{first} {rng.choice(BETWEEN[where])} {second}"
    if rng.random() < 0.3:
        first, second, where = second, first, OPPOSITE[where]
    sides = {"left": "on the left", "right": "on the right"}
    sides |= {"above": "at the top", "below": "at the bottom"}
    return f"{first} {sides[where]} and {second} {sides[OPPOSITE[where]]}"


def count(spec: Spec, rng: Random) -> str:
    """Numbers first: "three red circles and one blue star"."""
    opening = rng.choice(("", "", "exactly", "there are", "a picture with", "an image of"))
    if opening == "there are" and spec.groups[0].count == 1:
        opening = "there is"
    text = f"{opening} {body(spec, rng, counted=True)}".strip()
    return f"{text} on {article(spec.background)} background" if spec.background else text


def real_user(spec: Spec, rng: Random) -> str:
    """Keywords with commas, as people type them: "red circle, small, flat vector art"."""
    alone = len(spec.groups) == 1 and spec.groups[0].count == 1 and rng.random() < 0.5
    parts = []
    for group in spec.groups:
        number = f"{rng.choice(NUMBERS[group.count])} " if group.count > 1 else ""
        parts.append(number + bare(group, rng, with_size=not alone))
    if spec.relations:
        link = spec.relations[0]
        joined = f"{parts[link.first]} {BETWEEN[link.where][-1]} {parts[link.second]}"
        if rng.random() < 0.5:
            joined = f"{parts[link.first]} {BETWEEN[link.where][0]} {parts[link.second]}"
        parts = [joined, *(p for i, p in enumerate(parts) if i not in (link.first, link.second))]
    if alone and spec.groups[0].size:
        parts.append(spec.groups[0].size)
    if spec.background:
        parts.append(f"{spec.background} background")
    return ", ".join(parts + rng.sample(ART, rng.randint(1, 2)))


def counterfactual(spec: Spec, rng: Random) -> str:
    """An announcement that something is odd, then the thing."""
    opening = rng.choice((f"{article(rng.choice(ODD))} {rng.choice(MEDIA)} of", "imagine", f"{rng.choice(ODD)} :"))
    text = f"{opening} {body(spec, rng)}"
    return f"{text} on {article(spec.background)} background" if spec.background else text


def general(spec: Spec, rng: Random) -> str:
    """A plain phrase: "a red circle to the left of a blue square"."""
    opening = rng.choice(("", "", "", f"{article(rng.choice(MEDIA))} of", "there is"))
    if opening == "there is" and (len(spec.groups) > 1 or spec.groups[0].count > 1):
        opening = ""
    text = f"{opening} {body(spec, rng)}".strip()
    return f"{text} on {article(spec.background)} background" if spec.background else text


def trim(spec: Spec, rng: Random) -> Spec:
    """Leave out some of what a spec says, as a caption does."""
    sized, told = rng.random() < SAYS_SIZE, rng.random() < SAYS_COLOR
    groups = tuple(evolve(g, size=g.size if sized else None, color=g.color if told else None) for g in spec.groups)
    keep = rng.random() < SAYS_RELATION
    background = spec.background if rng.random() < SAYS_BACKGROUND else None
    return Spec(groups, spec.relations if keep else (), background)


def style_for(spec: Spec, rng: Random) -> str:
    """A style that suits what is to be said: counts where there are several of a kind."""
    if any(g.count > 1 for g in spec.groups):
        return rng.choices(("count", "real_user", "general"), (0.6, 0.2, 0.2))[0]
    if len(spec.groups) == 3:
        return rng.choices(("paragraph", "count", "general"), (0.7, 0.15, 0.15))[0]
    if len(spec.groups) == 2:
        return rng.choices(STYLES, (0.27, 0.06, 0.2, 0.2, 0.27))[0]
    return rng.choice(STYLES)


def training_caption(scene: Scene, rng: Random, strength: float = 1.0) -> tuple[Spec, str]:
    """What a caption of a scene says, and its text, with the mistakes of `corruption`."""
    said = trim(corrupt(reordered(describe(scene), rng), rng, strength), rng)
    return said, write(said, style_for(said, rng), rng)


def reordered(spec: Spec, rng: Random) -> Spec:
    """The same content, mentioned in another order: groups shuffled, a relation turned round."""
    order = list(range(len(spec.groups)))
    rng.shuffle(order)
    at = {old: new for new, old in enumerate(order)}
    relations = tuple(
        Relation(at[r.first], r.where, at[r.second])
        if rng.random() < 0.5
        else Relation(at[r.second], OPPOSITE[r.where], at[r.first])
        for r in spec.relations
    )
    return Spec(tuple(spec.groups[i] for i in order), relations, spec.background)

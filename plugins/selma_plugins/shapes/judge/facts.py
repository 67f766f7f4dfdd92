"""From readings to facts: what a prompt states, and how probable each statement is in a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from selma_plugins.shapes.judge.reader import Found, TextReader
from selma_plugins.shapes.scene import BACKGROUNDS, CLEAR_OFFSET, COLORS, MAX_OBJECTS, RELATIONS, SHAPES, SIZES
from selma_plugins.shapes.train.text import encode

# [what, shape, value]; of a relation [`relation`, first, where, second]; of the background [`background`, value].
Fact = list[str | int]
FLOOR = 1e-3  # no reading is surer than this


@torch.no_grad()
def said(reader: TextReader, encoder: Any, tokenizer: Any, texts: Sequence[str]) -> list[list[Fact]]:
    """The facts that each prompt states, as the heads read them off the encoder's first end mark."""
    ids = encode(tokenizer, list(texts))
    states = encoder(ids)[0]
    first = (ids == tokenizer.eos_token_id).int().argmax(1)
    parts, ground = reader(states[torch.arange(len(ids)), first])
    classes = torch.stack([part.argmax(2) for part in parts], dim=2).tolist()
    return [_facts(rows, int(g)) for rows, g in zip(classes, ground.argmax(1).tolist(), strict=True)]


def _facts(rows: Sequence[Sequence[int]], ground: int) -> list[Fact]:
    facts: list[Fact] = []
    for shape, (count, color, size, _) in zip(SHAPES, rows, strict=True):
        if count:
            facts.append(["count", shape, count])
            facts += [["color", shape, COLORS[color - 1]]] if color else []
            facts += [["size", shape, SIZES[size - 1]]] if size else []
    roles = {shape: RELATIONS[row[3] - 1] for shape, row in zip(SHAPES, rows, strict=True) if row[0] and row[3]}
    if len(roles) == 2:
        (first, where), (second, _) = roles.items()
        facts.append(["relation", first, where, second])
    if ground:
        facts.append(["background", BACKGROUNDS[ground - 1]])
    return facts


def probability(fact: Fact, objects: Sequence[Found], backgrounds: Sequence[float]) -> float:
    """How probable a fact is in a picture with these objects, in [FLOOR, 1]."""
    what = fact[0]
    if what == "background":
        value = backgrounds[BACKGROUNDS.index(str(fact[1]))]
    elif what == "relation":
        value = _relation(fact, objects)
    elif what == "count":
        value = _counts([one.shapes[SHAPES.index(str(fact[1]))] for one in objects])[int(fact[2])]
    else:
        value = _attribute(fact, objects)
    return max(FLOOR, min(1.0, value))


def _counts(chances: Sequence[float]) -> list[float]:
    """P(0), P(1), ... P(MAX_OBJECTS) of independent events (Poisson binomial)."""
    spread = [1.0] + [0.0] * MAX_OBJECTS
    for p in chances:
        spread = [(1 - p) * here + p * before for here, before in zip(spread, [0.0, *spread], strict=False)]
    return spread


def _attribute(fact: Fact, objects: Sequence[Found]) -> float:
    """P(the shape is there) times the share of it that has the colour or size."""
    shape = SHAPES.index(str(fact[1]))
    names: Sequence[str] = COLORS if fact[0] == "color" else SIZES
    value = names.index(str(fact[2]))
    chances = [one.shapes[shape] for one in objects]
    having = [(one.colors if fact[0] == "color" else one.sizes)[value] for one in objects]
    total = sum(chances)
    return _there(chances) * sum(p * h for p, h in zip(chances, having, strict=True)) / total if total else 0.0


def _there(chances: Sequence[float]) -> float:
    return 1.0 - math.prod(1.0 - p for p in chances)


def _relation(fact: Fact, objects: Sequence[Found]) -> float:
    """Both are there, and the offset along the stated axis is clear; a soft step of a few pixels around it."""
    if not objects:
        return 0.0
    indices = [SHAPES.index(str(fact[place])) for place in (1, 3)]
    first, second = (_surest(objects, index) for index in indices)
    dx, dy = first.x - second.x, first.y - second.y
    along = {"left": -dx, "right": dx, "above": -dy, "below": dy}[str(fact[2])]
    across = abs(dy) if fact[2] in ("left", "right") else abs(dx)
    margin = min(along - CLEAR_OFFSET / 2, along - across)
    both = first.shapes[indices[0]] * second.shapes[indices[1]]
    return both / (1 + math.exp(-max(-50.0, min(50.0, margin / 2))))


def _surest(objects: Sequence[Found], shape: int) -> Found:
    return max(objects, key=lambda one: one.shapes[shape])

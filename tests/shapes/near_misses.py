"""Captions of random scenes with a picture of what they say and one of what they nearly say."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import torch
from attrs import evolve
from selma_plugins.shapes.captions import style_for, trim, write
from selma_plugins.shapes.corruption import OPPOSITE
from selma_plugins.shapes.grammar import ShapePrompt, scene_of
from selma_plugins.shapes.render import pixels
from selma_plugins.shapes.scene import random_scene
from selma_plugins.shapes.spec import Spec, describe

COUNT = 60


def turned(spec: Spec, rng: Random) -> Spec:
    """Relations the other way round."""
    return evolve(spec, relations=tuple(evolve(r, where=OPPOSITE[r.where]) for r in spec.relations))


def near_misses(mistake: Callable[[Spec, Random], Spec]) -> tuple[list[str], torch.Tensor, torch.Tensor]:
    """Captions, pictures of them (n, 3, 64, 64) in [0, 1], and pictures of what is nearly them."""
    rng, found = Random(77), list[tuple[str, Any, Any]]()
    while len(found) < COUNT:
        scene = random_scene(rng)
        said = trim(describe(scene), rng)
        near = mistake(said, rng)
        if near != said:
            text = write(said, style_for(said, rng), rng)
            found.append((text, scene, scene_of(ShapePrompt(text, "general", near), rng.randrange(10**6))))
    drawn = [
        torch.from_numpy(np.stack([pixels(one[place]) for one in found])).float().permute(0, 3, 1, 2) / 255
        for place in (1, 2)
    ]
    return [one[0] for one in found], drawn[0], drawn[1]

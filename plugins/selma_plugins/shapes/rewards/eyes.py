"""What imperfect eyes see of a picture: the oracle's measurements, spoilt by errors at stated rates.

The errors are drawn from the picture's own bytes, so that a picture is always seen alike, and for each pair of eyes by
itself, so that two rewards err independently. What the measuring itself gets wrong they share with the oracle.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import attrs
from PIL import Image

from selma_core.data import ChatRequest, ImagePart
from selma_core.files import sha256_file
from selma_core.seeds import derive_seed
from selma_plugins.shapes.options import EyesOptions
from selma_plugins.shapes.perception import Seen, perceive
from selma_plugins.shapes.scene import CANVAS, COLORS, SHAPES


def look(path: Path, who: str, rates: EyesOptions) -> list[Seen]:
    """The objects that `who` believes to see, as measured but for the errors.

    Raises:
        OSError: the file is no image.
    """
    with Image.open(path) as image:
        objects = perceive(image.convert("RGB")).objects
    rng = Random(derive_seed("shapes-eyes", who, sha256_file(path)))
    seen = [_misread(one, rng) if rng.random() < rates.wrong else one for one in objects if rng.random() >= rates.miss]
    if rng.random() < rates.ghost:
        place = {"cx": rng.uniform(8, CANVAS - 8), "cy": rng.uniform(8, CANVAS - 8)}
        seen.append(Seen(rng.choice(SHAPES), rng.choice(COLORS), radius=9.0, overlap=0.7, **place))
    return seen


def picture_of(request: ChatRequest, who: str) -> Path:
    """The last image of the last message.

    Raises:
        ValueError: there is none.
    """
    images = [part.path for part in request.messages[-1].parts if isinstance(part, ImagePart)]
    if not images:
        raise ValueError(f"{who} needs an image")
    return images[-1]


def _misread(one: Seen, rng: Random) -> Seen:
    if rng.random() < 0.5:
        return attrs.evolve(one, color=rng.choice([color for color in COLORS if color != one.color]))
    return attrs.evolve(one, shape=rng.choice([shape for shape in SHAPES if shape != one.shape]))

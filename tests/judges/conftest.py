"""Tiny models on disk, made once, and pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from selma_plugins.judges import options
from selma_plugins.judges.blip2 import Blip2Chat, InstructBlipChat
from selma_plugins.judges.blip_vqa import BlipVqaChat
from selma_plugins.judges.image_text import ImageTextChat, QwenVLChat

from tests.judges.tiny import MAKERS

KINDS: dict[str, tuple[Any, Any]] = {
    "llava": (ImageTextChat, options.ImageTextOptions),
    "qwen3": (QwenVLChat, options.QwenVLOptions),
    "qwen25": (ImageTextChat, options.ImageTextOptions),
    "blip2_opt": (Blip2Chat, options.Blip2Options),
    "blip2_t5": (Blip2Chat, options.Blip2Options),
    "instructblip": (InstructBlipChat, options.InstructBlipOptions),
    "blip_vqa": (BlipVqaChat, options.BlipVqaOptions),
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Name of a maker -> its model's folder."""
    root, made = tmp_path_factory.mktemp("judges"), set()

    def find(name: str) -> Path:
        if name not in made:
            torch.manual_seed(3)
            MAKERS[name](root / name)
            made.add(name)
        return root / name

    return find


@pytest.fixture
def judge(folder: Callable[[str], Path]) -> Callable[..., Any]:
    """Builds the judge of a maker's name."""

    def build(name: str, **values: Any) -> Any:
        kind, its_options = KINDS[name]
        return kind(its_options(**{"model": str(folder(name)), **values}))

    return build


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three pictures of different sizes and colours."""
    root, made = tmp_path_factory.mktemp("pictures"), []
    for i, colour in enumerate([(255, 0, 0), (0, 255, 0), (10, 20, 250)]):
        image = Image.new("RGB", (16 + 8 * i, 24), colour)
        image.paste((9, 9, 9), (0, 0, 8, 8 + 4 * i))
        made.append(root / f"{i}.png")
        image.save(made[-1])
    return made

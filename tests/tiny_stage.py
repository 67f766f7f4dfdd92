"""A stage context for tests that run one plugin on one tiny model."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from PIL import Image

from selma_core.data import Entry, ImageItem, ImageRequest, Prompt
from selma_core.options import Slot
from selma_core.records import NoOptions
from selma_core.seeds import sample_seed


@attrs.define
class TinyContext:
    """Implements `selma_core.protocols.Context`: the model's name is its folder."""

    workdir: Path
    seed: int = 0
    device: str = "cpu"
    warnings: list[str] = attrs.field(factory=list)
    notes: list[tuple[int, int, str]] = attrs.field(factory=list)
    stop_at: int | None = None

    def component(self, kind: str, slot: Slot) -> Any:
        """The pipeline's own text encoder."""
        from selma_plugins.encoders.clip import PipelineEncoder

        assert (kind, slot.use) == ("text_encoder", "clip")
        return PipelineEncoder(NoOptions())

    def entry(self, section: str, name: str) -> Entry:
        """The folder of that name."""
        assert section == "models"
        return Entry(section=section, name=name, provider="path", data={}, pin="sha256:0", path=Path(name))

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Keeps the note; pulls the plug at `stop_at`."""
        self.notes.append((done, total, note))
        if self.stop_at is not None and done == self.stop_at:
            raise KeyboardInterrupt

    def warn(self, message: str) -> None:
        """Keeps the line."""
        self.warnings.append(message)


TEXTS = ("a red cat", "a blue hat", "two cats", "a hat left of a cat", "the red square", "a circle")


def requests(count: int, seed: int = 0) -> tuple[ImageRequest, ...]:
    """Requests for different prompts."""
    prompts = [Prompt(id=f"p{i}", text=TEXTS[i % len(TEXTS)], skill="count") for i in range(count)]
    return tuple(ImageRequest(prompt=p, k=0, seed=sample_seed(seed, p.id, 0)) for p in prompts)


def items(folder: Path, count: int, size: int = 16, skill: str = "count") -> tuple[ImageItem, ...]:
    """Stored images of smooth random pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(5)
    found = []
    for i in range(count):
        path = folder / f"p{i}-0.png"
        coarse = Image.fromarray(random.integers(0, 255, (4, 4, 3), dtype=np.uint8))
        coarse.resize((size, size), Image.Resampling.BICUBIC).save(path)
        prompt = Prompt(id=f"p{i}", text=TEXTS[i % len(TEXTS)], skill=skill)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        found.append(ImageItem(item_id=f"p{i}-0", prompt=prompt, path=path, sha256=sha256, k=0, seed=1))
    return tuple(found)

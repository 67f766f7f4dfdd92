"""What the runner of a stage kind is given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from selma_core.artifacts.images import read_images
from selma_core.artifacts.prompts import read_prompts
from selma_core.data import ImageItem, Prompt
from selma_core.errors import StageError
from selma_core.stages.context import StageContext


@attrs.frozen(kw_only=True)
class Input:
    """One artifact that a stage reads."""

    fingerprint: str
    folder: Path


@attrs.frozen(kw_only=True)
class Task:
    """One stage to run.

    Attributes:
        implementation: what the plugin's factory built.
        context: for the implementation.
        inputs: port -> artifacts, in reading order.
        out: becomes the artifact. scratch: survives a kill, dropped once the artifact is stored.
    """

    implementation: Any
    context: StageContext
    inputs: Mapping[str, tuple[Input, ...]]
    out: Path
    scratch: Path

    def folders(self, port: str) -> tuple[Path, ...]:
        """The artifact folders at a port; none when the port is open."""
        return tuple(found.folder for found in self.inputs.get(port, ()))

    def prompts(self) -> tuple[Prompt, ...]:
        """All prompts at the port `prompts`, sets one after the other.

        Raises:
            StageError: when two sets hold one id, since seeds and files go by it.
        """
        owner: dict[str, Path] = {}
        prompts: list[Prompt] = []
        for folder in self.folders("prompts"):
            for prompt in read_prompts(folder).prompts:
                if prompt.id in owner:
                    raise StageError(f"prompt id '{prompt.id}' is in both {owner[prompt.id]} and {folder}")
                owner[prompt.id] = folder
                prompts.append(prompt)
        return tuple(prompts)

    def images(self, port: str = "images") -> tuple[ImageItem, ...]:
        """All images at a port, sets one after the other.

        Raises:
            StageError: when two sets hold one image id.
        """
        items: dict[str, ImageItem] = {}
        for folder in self.folders(port):
            for item in read_images(folder, warn=self.context.warn):
                if item.item_id in items:
                    raise StageError(
                        f"image '{item.item_id}' is in both {items[item.item_id].path.parent} and {folder}"
                    )
                items[item.item_id] = item
        return tuple(items.values())

    def adapter(self) -> Path | None:
        """The adapter file at the port `adapter`, or None."""
        from selma_core.artifacts.adapter import adapter_file

        folders = self.folders("adapter")
        return adapter_file(folders[0]) if folders else None

    def adapters(self) -> tuple[Path, ...]:
        """The adapter files at the port `adapters`."""
        from selma_core.artifacts.adapter import adapter_file

        return tuple(map(adapter_file, self.folders("adapters")))

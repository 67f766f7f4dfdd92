"""Images that exist already: a folder that something else drew, or ground-truth data."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image as Pillow

from selma_core.data import ImageRequest, Prompt
from selma_core.errors import UserError
from selma_core.protocols import Context, Found, ImageJob
from selma_plugins.images.listed import METADATA, match_listed
from selma_plugins.images.names import match_names
from selma_plugins.images.options import ImageFolderOptions

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


class ImageFolder:
    """`selma_core.protocols.ImageImporter` over a folder."""

    def __init__(self, options: ImageFolderOptions) -> None:
        self._options = options
        self._files: Mapping[str, Mapping[int, str]] | None = None

    @property
    def images_per_prompt(self) -> int:
        """How many there should be."""
        return self._options.k

    def find(self, prompts: Sequence[Prompt], context: Context) -> Found:
        """The images of each prompt: by `metadata.jsonl` where the folder has one, else by the names of the files.

        Raises:
            UserError: no image belongs to any prompt, or two are the same sample of one.
            ArtifactError: a broken `metadata.jsonl`.
        """
        folder = self._folder(context)
        files = list(_image_files(folder))
        listed = (folder / METADATA).is_file()
        found = match_listed(folder, files, prompts, context.warn) if listed else match_names(files, prompts)
        if not found.samples:
            raise UserError(_nothing(folder, files, listed, prompts))
        self._files = found.samples
        return Found(files=found.samples, unmatched=found.unmatched)

    def images(self, job: ImageJob) -> Iterator[tuple[ImageRequest, Image]]:
        """Yields the images as RGB, transparent ones on white; leaves out those that cannot be read, with a warning."""
        folder = self._folder(job.context)
        if self._files is None:
            self.find([request.prompt for request in job.requests], job.context)
        clear: list[str] = []
        broken: list[str] = []
        for request in job.requests:
            name = (self._files or {}).get(request.prompt.id, {}).get(request.k, "")
            try:
                image, transparent = read_rgb(folder / name)
            except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError):
                broken.append(name)
                continue
            if transparent:
                clear.append(name)
            yield request, image
        _report(job.context, clear, broken)

    def _folder(self, context: Context) -> Path:
        entry = context.entry("folders", self._options.folder)
        return entry.path or Path(self._options.folder)


def read_rgb(path: Path) -> tuple[Image, bool]:
    """The image as RGB, and whether it had transparency, which is laid on white.

    Raises:
        OSError, ValueError, SyntaxError: it cannot be read to its end.
    """
    with Pillow.open(path) as file:
        file.load()
        if not file.has_transparency_data:
            return file.convert("RGB"), False
        image = file.convert("RGBA")
    if image.getchannel("A").getextrema()[0] == 255:  # an alpha channel that says nothing
        return image.convert("RGB"), False
    white = Pillow.new("RGBA", image.size, (255, 255, 255, 255))
    return Pillow.alpha_composite(white, image).convert("RGB"), True


def _image_files(folder: Path) -> Iterator[str]:
    """Relative, sorted; nothing hidden, and no folder by way of a link."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and name.lower().endswith(SUFFIXES):
                yield (Path(root) / name).relative_to(folder).as_posix()


def _nothing(folder: Path, files: Sequence[str], listed: bool, prompts: Sequence[Prompt]) -> str:
    if not files:
        return f"{folder} holds no images ({', '.join(SUFFIXES)})"
    by = METADATA if listed else "its name"
    example = f"{prompts[0].id}.png" if prompts else "ID.png"
    return (
        f"none of the {len(files)} images of {folder} belongs to one of the {len(prompts)} prompts by {by}; first: "
        f"{files[0]}, but {example} is wanted, or a {METADATA} with file_name and prompt_id or text"
    )


def _report(context: Context, clear: Sequence[str], broken: Sequence[str]) -> None:
    for names, what in (
        (clear, "with transparency laid on white"),
        (broken, "unreadable, counted as missing"),
    ):
        if names:
            context.warn(f"{len(names)} image(s) {what}, first: {', '.join(names[:3])}")

"""SURD and folders like it: images with a simple and a complex prompt each, in `metadata.jsonl`.

Rows are {file_name, text, prompt}: `text` is the SIMPLE one (a caption), `prompt` the COMPLEX one; once read they are
called so. Names without their suffix, and with the other system's separators, as the released scraper writes them,
are repaired where the file is there. Source: arXiv 2305.05189, section 3.1; `data_collect/` of its code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from selma_core.artifacts.jsonl import Row, read_rows
from selma_core.data import ImageRequest, Prompt, PromptBatch, Rejected
from selma_core.errors import ArtifactError, UserError
from selma_core.protocols import Context, Found, ImageJob, PromptJob
from selma_plugins.prompts.identity import prompt_id
from selma_plugins.sur.options import SurdImagesOptions, SurdOptions
from selma_plugins.sur.pairs import SIMPLE, Pair
from selma_plugins.sur.webui import clean, shorten

if TYPE_CHECKING:
    from PIL.Image import Image

METADATA = "metadata.jsonl"
FILE = "file_name"
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


@attrs.define
class Reading:
    """What a folder holds. Attributes: found = (file name, pair) of the rows whose file is there, in order; repaired =
    names that were wrong in the index; gone = names of files that are not there; rejected = rows without a text."""

    found: list[tuple[str, Pair]] = attrs.field(factory=list)
    repaired: list[str] = attrs.field(factory=list)
    gone: list[str] = attrs.field(factory=list)
    rejected: list[Rejected] = attrs.field(factory=list)


def read_surd(folder: Path, options: SurdOptions) -> Reading:
    """Reads the index of a folder.

    Raises:
        ArtifactError: a missing or broken index (names the row), or none of its files is there.
    """
    reading = Reading()
    for row in read_rows(folder / METADATA):
        _read(row, folder, options, reading)
    if not reading.found and not reading.rejected:
        first = f", first: {reading.gone[0]}" if reading.gone else ""
        raise ArtifactError(f"{folder / METADATA}: none of its {len(reading.gone)} files is there{first}")
    return reading


def _read(row: Row, folder: Path, options: SurdOptions, reading: Reading) -> None:
    simple, complex_ = row.take("text", str).strip(), row.take("prompt", str).strip()
    if options.clean_webui:
        complex_ = clean(complex_)
    complex_ = shorten(complex_, options.max_tokens)
    written = row.take(FILE, str)
    name = _present(folder, written)
    if name is None:
        reading.gone.append(written)
    elif not simple or not complex_:
        reading.rejected.append(Rejected(text=simple or complex_, reason="empty", detail=written))
    else:
        reading.found.append((name, Pair(simple, complex_)))
        if name != written:
            reading.repaired.append(written)


def _present(folder: Path, written: str) -> str | None:
    """The name of the file that a row means, relative to the folder; None when there is none within it."""
    plain = written.replace("\\", "/")
    for name in (plain, *(plain + suffix for suffix in SUFFIXES)):
        path = folder / name
        if path.is_file() and path.suffix.lower() in SUFFIXES and path.resolve().is_relative_to(folder.resolve()):
            return name
    return None


class Surd:
    """`selma_core.protocols.PromptSource` over such a folder; `meta` holds `simple`, `complex` and `file_name`."""

    def __init__(self, options: SurdOptions) -> None:
        self._options = options

    def prompts(self, job: PromptJob) -> Iterator[PromptBatch]:
        """Yields one batch with all prompts, in the order of the rows.

        Raises:
            ArtifactError: a missing or broken index, or none of its files is there.
        """
        if job.done:
            return
        options = self._options
        reading = read_surd(_folder(options.folder, job.context), options)
        for what, names in (("not in the folder, left out", reading.gone), ("repaired", reading.repaired)):
            if names:
                job.context.warn(f"{len(names)} file name(s) of {METADATA} {what}, first: {', '.join(names[:3])}")
        accepted = tuple(
            Prompt(
                id=prompt_id(options.skill, number),
                text=pair.simple if options.text == SIMPLE else pair.complex,
                skill=options.skill,
                meta={**pair.meta(), FILE: name},
            )
            for number, (name, pair) in enumerate(reading.found[: options.n])
        )
        yield PromptBatch(accepted=accepted, rejected=tuple(reading.rejected))


class SurdImages:
    """`selma_core.protocols.ImageImporter`: the file that a prompt of `surd` names."""

    images_per_prompt = 1

    def __init__(self, options: SurdImagesOptions) -> None:
        self._options = options

    def find(self, prompts: Sequence[Prompt], context: Context) -> Found:
        """The file of each prompt.

        Raises:
            UserError: the prompts are not of `surd`.
        """
        folder = _folder(self._options.folder, context)
        if not any(isinstance(prompt.meta.get(FILE), str) for prompt in prompts):
            raise UserError("surd_images takes the prompts of the source 'surd', which name their files; these do not")
        names = {prompt.id: str(prompt.meta.get(FILE, "")) for prompt in prompts}
        return Found(files={key: {0: name} for key, name in names.items() if name and _present(folder, name)})

    def images(self, job: ImageJob) -> Iterator[tuple[ImageRequest, Image]]:
        """Yields the images as RGB; leaves out those that cannot be read."""
        from selma_plugins.images.folder import read_rgb

        folder = _folder(self._options.folder, job.context)
        for request in job.requests:
            try:
                yield request, read_rgb(folder / str(request.prompt.meta[FILE]))[0]
            except (OSError, ValueError, SyntaxError) as error:
                job.context.warn(f"{request.prompt.meta[FILE]} cannot be read: {error}")


def _folder(name: str, context: Context) -> Path:
    return context.entry("folders", name).path or Path(name)

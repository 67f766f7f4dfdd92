"""From the names of image files to the prompts they were drawn from. Pure: no file is opened.

The layouts that benchmarks and generators use, the surest reading first: `{id}/{k}.png` and GenEval's
`{id}/samples/{k}.png`; `{id}.png`; `{style}/{number}.jpg` for the id `{style}_{number}` (HPSv2); `{id}-{k}.png` and
`{id}_{k}.png`; `{prompt text}_{k}.png` (T2I-CompBench).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

import attrs

from selma_core.data import Prompt
from selma_core.errors import UserError

_SAMPLE = re.compile(r"^(.+)[-_](\d+)$")
_SHEETS = {"grid"}  # GenEval's overview of a prompt's samples


@attrs.frozen
class Match:
    """Attributes: samples = prompt id -> index of the sample -> file; unmatched = files of no prompt, sorted."""

    samples: dict[str, dict[int, str]]
    unmatched: tuple[str, ...]


def match_names(files: Iterable[str], prompts: Sequence[Prompt]) -> Match:
    """Files (relative, with `/`) by prompt.

    Raises:
        UserError: two files are the same sample of one prompt.
    """
    index = PromptIndex(prompts)
    found: dict[str, dict[int, str]] = {}
    unmatched: list[str] = []
    for file in sorted(files):
        path = PurePosixPath(file)
        known = index.of_name(path)
        if known is not None:
            add_sample(found, *known, file)
        elif not (path.stem in _SHEETS and index.of_id(path.parent.name)):
            unmatched.append(file)
    return Match(found, tuple(unmatched))


def add_sample(found: dict[str, dict[int, str]], prompt_id: str, k: int, file: str) -> None:
    """Notes that a file is sample `k` of a prompt.

    Raises:
        UserError: another one is.
    """
    samples = found.setdefault(prompt_id, {})
    if k in samples:
        raise UserError(f"image {k} of prompt '{prompt_id}' is there twice: {samples[k]} and {file}")
    samples[k] = file


class PromptIndex:
    """Prompts by everything that may name them in a file name."""

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        self._ids = {prompt.id: prompt.id for prompt in prompts}
        safe: dict[str, set[str]] = defaultdict(set)
        self._texts: dict[str, list[Prompt]] = defaultdict(list)
        for prompt in prompts:
            safe[safe_name(prompt.id)].add(prompt.id)
            self._texts[_bare(prompt.text)].append(prompt)
        for name, owners in safe.items():
            if len(owners) == 1:  # else the name could mean either
                self._ids.setdefault(name, *owners)

    def of_id(self, name: str) -> str | None:
        """The id that a name stands for: the id itself, or as SELMA writes it in file names."""
        return self._ids.get(name)

    def of_text(self, text: str, folders: Sequence[str] = ()) -> str | None:
        """The id of a text; of several with one text that whose group is one of the folders, else None."""
        found = self._texts.get(_bare(text), [])
        if len(found) > 1:
            found = [prompt for prompt in found if prompt.meta.get("group") in folders]
        return found[0].id if len(found) == 1 else None

    def of_name(self, path: PurePosixPath) -> tuple[str, int] | None:
        """(prompt id, index of the sample) of a file, or None."""
        folders = [part for part in path.parts[:-1] if part != "samples"]
        if folders and path.stem.isdecimal() and (owner := self._ids.get(folders[-1])):
            return owner, int(path.stem)
        names = list(_names(folders, path.stem))
        for name in names:
            if name in self._ids:
                return self._ids[name], 0
        for name in names:
            sample = _SAMPLE.match(name)
            if sample and sample[1] in self._ids:
                return self._ids[sample[1]], int(sample[2])
        sample = _SAMPLE.match(path.stem)
        text, k = (sample[1], int(sample[2])) if sample else (path.stem, 0)
        owner = self.of_text(text, folders)
        return None if owner is None else (owner, k)


def safe_name(prompt_id: str) -> str:
    """An id as it stands in file names that SELMA writes."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in prompt_id)


def _names(folders: Sequence[str], stem: str) -> Iterator[str]:
    """The stem alone, then with one folder more each time, joined as ids are."""
    yield stem
    for start in range(len(folders) - 1, -1, -1):
        yield "_".join([*folders[start:], stem])
        yield "/".join([*folders[start:], stem])


def _bare(text: str) -> str:
    """Letters and digits only: file systems and scripts change the rest."""
    return " ".join(re.findall(r"\w+", text.casefold().replace("_", " ")))

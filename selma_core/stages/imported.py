"""Images that exist already: which there are, which should be, and what became of them. Part of `image_generator`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from selma_core.artifacts.images import write_import
from selma_core.data import ImageRequest, Prompt
from selma_core.errors import StageError
from selma_core.protocols import Found
from selma_core.seeds import sample_seed
from selma_core.stages.task import Task


def found_requests(found: Found, prompts: Sequence[Prompt], seed: int) -> tuple[ImageRequest, ...]:
    """One request per image that is there, in the order of prompts and samples."""
    strangers = set(found.files) - {prompt.id for prompt in prompts}
    if strangers:
        raise StageError(f"the generator found images of a prompt that it was not given: {min(strangers)}")
    return tuple(
        ImageRequest(prompt=prompt, k=k, seed=sample_seed(seed, prompt.id, k))
        for prompt in prompts
        for k in sorted(found.files.get(prompt.id, {}))
    )


def report_import(
    task: Task, found: Found, prompts: Sequence[Prompt], requests: Sequence[ImageRequest], drawn: Mapping[str, str]
) -> tuple[ImageRequest, ...]:
    """Writes `import.json` and warns of what is missing; returns the requests whose image could be read.

    Raises:
        StageError: none could.
    """
    per_prompt = task.implementation.images_per_prompt
    kept = tuple(request for request in requests if request.file_name in drawn)
    counts = dict.fromkeys((prompt.id for prompt in prompts), 0)
    for request in kept:
        counts[request.prompt.id] += 1
    short = {name: per_prompt - count for name, count in counts.items() if count < per_prompt}
    missing = sum(short.values())
    write_import(
        task.out,
        {
            "expected_images": len(kept) + missing,
            "found_images": len(kept),
            "images_per_prompt": per_prompt,
            "prompts": len(prompts),
            "missing": short,
            "unmatched": list(found.unmatched),
            "unreadable": [found.files[r.prompt.id][r.k] for r in requests if r.file_name not in drawn],
            "files": {request.file_name: found.files[request.prompt.id][request.k] for request in kept},
        },
    )
    _warn(task, found, len(kept), missing, short)
    if not kept:
        raise StageError("none of the images can be read")
    return kept


def _warn(task: Task, found: Found, there: int, missing: int, short: Mapping[str, int]) -> None:
    if missing:
        names = ", ".join(list(short)[:3])
        task.context.warn(
            f"only {there} of {there + missing} expected images are there: {len(short)} prompt(s) lack some, "
            f"first: {names}"
        )
    if found.unmatched:
        names = ", ".join(found.unmatched[:3])
        task.context.warn(f"{len(found.unmatched)} image(s) match no prompt and are left out, first: {names}")

"""Stored images by name: a folder, a fingerprint, or the images of one variant or stage of a run."""

from __future__ import annotations

from pathlib import Path

from selma_core.artifacts.images import METADATA
from selma_core.errors import UnknownNameError, UserError, did_you_mean
from selma_core.store import Store
from selma_core.stored_runs import artifact_of, by_fingerprint, choose, find_run, variant_in

_KINDS = ("image_generator", "selector")


def find_images(text: str, store: Store) -> Path:
    """The folder of images that a name stands for.

    Args:
        text: a folder; a fingerprint (its first 8 digits will do); `RUN:variant` or `RUN:stage`, where RUN may be
            `latest` (`latest:merged`, `RUN:sample[merged]`).

    Raises:
        UserError: nothing is stored under that name, or more than one set; says what is.
    """
    folder = Path(text)
    if folder.is_dir():
        return folder
    found = by_fingerprint(text, store)
    if found is not None:
        return found
    name, colon, wanted = text.partition(":")
    if not colon:
        raise UserError(f"{text}: no such folder; give one, or RUN:VARIANT such as latest:merged")
    run = find_run(name, store, "a folder of images")
    stages = run.stages(*_KINDS)
    chosen = choose(stages, wanted)
    if not chosen:
        known = [variant_in(stage["id"]) for stage in stages]
        raise UnknownNameError(f"run {run.id} has no images of '{wanted}'; {did_you_mean(wanted, known)}")
    if len(chosen) > 1:
        ids = ", ".join(stage["id"] for stage in chosen)
        raise UserError(f"run {run.id}: '{wanted}' stands for {len(chosen)} sets of images: {ids}; name one")
    place = artifact_of(chosen[0], store, METADATA)
    if place is None:
        raise UserError(f"run {run.id}: {chosen[0]['id']} is not in the store {store.root}")
    return place

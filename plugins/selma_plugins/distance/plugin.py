"""Evaluators of how far a set of images is from another."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import EvaluatorRecord
from selma_plugins.distance.options import KidOptions, ShapesKidOptions


@hookimpl
def selma_evaluators() -> Iterator[EvaluatorRecord]:
    """Kernel distances, by the features of a CLIP or of the shapes world's second judge."""
    yield EvaluatorRecord(
        name="kid",
        summary="kernel distance of the images from those at the port baseline, by CLIP features; FID for few images",
        factory="selma_plugins.distance.clip:ClipKid",
        options=KidOptions,
        reference="Binkowski et al. 2018, KID, arXiv 1801.01401; CLIP features: CMMD, arXiv 2401.09603",
    )
    yield EvaluatorRecord(
        name="shapes_kid",
        summary="kernel distance of shapes images from those at the port baseline, by the features of shapes_vqa",
        factory="selma_plugins.distance.shapes:ShapesKid",
        options=ShapesKidOptions,
        reference="Binkowski et al. 2018, KID, arXiv 1801.01401",
    )

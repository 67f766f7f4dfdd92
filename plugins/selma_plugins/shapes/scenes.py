"""Ground truth of the shapes world: a picture is rendered from what its prompt says. No model draws it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from selma_core.data import ImageRequest
from selma_core.errors import UserError
from selma_core.protocols import ImageJob
from selma_plugins.shapes.grammar import ShapePrompt, scene_of
from selma_plugins.shapes.options import ScenesOptions
from selma_plugins.shapes.reading import read
from selma_plugins.shapes.render import render

if TYPE_CHECKING:
    from PIL.Image import Image


class Scenes:
    """`selma_core.protocols.ImageGenerator`; what a prompt leaves open (places, a colour) is random, by the seed."""

    def __init__(self, options: ScenesOptions) -> None:
        self._options = options

    @property
    def images_per_prompt(self) -> int:
        """K."""
        return self._options.k

    def images(self, job: ImageJob) -> Iterator[tuple[ImageRequest, Image]]:
        """Yields each request with its 64 x 64 RGB picture, in order.

        Raises:
            UserError: for a prompt that is not of the world, or an adapter, which no renderer can wear.
        """
        if job.adapter is not None or job.adapters:
            raise UserError("shapes_scenes renders without a model, so it takes no adapter; leave out `from: adapter`")
        for request in job.requests:
            yield request, render(scene_of(_read(request), request.seed))


def _read(request: ImageRequest) -> ShapePrompt:
    prompt = request.prompt
    try:
        return ShapePrompt(prompt.text, prompt.skill, read(prompt.text))
    except ValueError as error:
        raise UserError(f"shapes_scenes cannot render prompt '{prompt.id}' ({prompt.text}): {error}") from None

"""The bundled world's plugins: the oracle that measures pixels, offered as an ordinary chat model."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import ChatModelRecord


@hookimpl
def selma_chat_models() -> Iterator[ChatModelRecord]:
    """The perception oracle of the shapes world."""
    yield ChatModelRecord(
        name="shapes_oracle",
        summary="answers yes/no questions about shapes images by measuring their pixels",
        factory="selma_plugins.shapes.chat:ShapesOracle",
        revision=1,
    )

"""Options of `shapes_denscore`."""

from __future__ import annotations

import attrs

from selma_core.options import entry, option
from selma_plugins.preference.options import DenscoreOptions


@attrs.frozen(kw_only=True)
class ShapesDenscoreOptions(DenscoreOptions):
    """Options of `shapes_denscore`: those of `denscore`, over the world's own readers."""

    model: str = entry("models", "shapes_judge", help="the readers of pictures and prompts")
    tokenizer: str = entry("models", "shapes_base", help="a model of the world, for its text encoder and tokenizer")
    reference: str = entry("files", "", help="texts, one a line, or prompts.jsonl; empty: scenes of the world")
    batch_size: int = option(64, help="images per forward pass on a GPU", changes_results=False)

    def needed_ports(self) -> dict[str, str]:
        """None: its readers are no CLIP that a trainer makes."""
        return {}

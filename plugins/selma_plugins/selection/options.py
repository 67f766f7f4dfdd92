"""Options of the bundled selectors."""

from __future__ import annotations

import attrs

from selma_core.options import at_least, option, positive


@attrs.frozen
class BestOfOptions:
    """Options of `best_of`."""

    metric: str = option(help="which metric of the scores decides, e.g. dsg")
    keep: int = option(1, help="images kept per prompt", check=positive)
    lowest: bool = option(False, help="keep the lowest values instead of the highest")
    threshold: float | None = option(None, help="drop images below this value (above it with lowest); null = none")
    limit: int = option(0, help="prompts kept at most, best first, 0 = all", check=at_least(0))

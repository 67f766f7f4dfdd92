"""How long a plan will take, from how long its like took in this store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

import attrs

from selma_core.graph.fingerprint import canonical
from selma_core.graph.plan import Planned

if TYPE_CHECKING:
    from selma_core.store import Store
    from selma_core.store.manifest import Manifest


@attrs.frozen
class Estimate:
    """Attributes: stages = id -> seconds of each stage to be made, None where none of its like is stored."""

    stages: dict[str, float | None]

    @property
    def seconds(self) -> float:
        """Of all stages that are known, one after the other."""
        return sum(seconds for seconds in self.stages.values() if seconds is not None)

    @property
    def unknown(self) -> int:
        """How many stages are not known."""
        return sum(seconds is None for seconds in self.stages.values())


def estimate(plan: Sequence[Planned], store: Store) -> Estimate:
    """By the median of stored stages of the same plugin: with equal options if there are such, else of any."""
    todo = [row for row in plan if row.status in ("run", "suspect")]
    alike: dict[str, list[float]] = defaultdict(list)
    if todo:
        for manifest in store.manifests():
            for key in _of_manifest(manifest):
                alike[key].append(manifest.seconds)
    return Estimate({row.id: _seconds(row, alike) for row in todo})


def _seconds(row: Planned, alike: dict[str, list[float]]) -> float | None:
    payload = row.node.payload
    keys = _keys(str(payload["kind"]), str(payload["plugin"]), payload["options"])
    return next((float(median(alike[key])) for key in keys if key in alike), None)


def _of_manifest(manifest: Manifest) -> tuple[str, str]:
    return _keys(manifest.kind, str(manifest.payload.get("plugin")), manifest.payload.get("options"))


def _keys(kind: str, plugin: str, options: object) -> tuple[str, str]:
    """The narrow key and the wide one."""
    return canonical([kind, plugin, options]), canonical([kind, plugin])

"""Options of the executors. None of them changes a result."""

from __future__ import annotations

from typing import Any

import attrs

from selma_core.options import option


def _workers(instance: Any, field: attrs.Attribute[Any], value: Any) -> None:
    if value != "auto" and not (isinstance(value, int) and value > 0):
        raise ValueError(f"must be a number above 0, or 'auto', not {value!r}")


@attrs.frozen(kw_only=True)
class ProcessOptions:
    """Options of the executor `process`."""

    workers: int | str = option(
        "auto",
        help="stages that run at once; auto: one per GPU, without a GPU one per CPU core, at most 4",
        changes_results=False,
        check=_workers,
    )

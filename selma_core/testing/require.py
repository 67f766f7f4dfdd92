"""The one error of the conformance kit."""

from __future__ import annotations

import json
from typing import Any


class ConformanceError(AssertionError):
    """A plugin that does not keep its kind's contract; the message says what to change."""


def require(holds: bool, message: str) -> None:
    """Raises `ConformanceError(message)` unless `holds`."""
    if not holds:
        raise ConformanceError(message)


def require_json(value: Any, what: str) -> None:
    """Demands plain JSON: no tensors, no paths, no NaN."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConformanceError(f"{what} must be plain JSON: {error}") from error


def require_protocol(built: Any, kind: str) -> None:
    """Demands every public member of the kind's protocol."""
    from selma_core.kinds import BY_NAME
    from selma_core.loading import protocol_members

    for name in protocol_members(BY_NAME[kind].protocol):
        require(hasattr(built, name), f"{type(built).__name__} lacks '{name}', which a {kind} must have")

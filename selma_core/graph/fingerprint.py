"""The identity of a stage's result, known before anything runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

# Raised when the meaning of a payload changes, so that no old artifact is taken for a new one.
SCHEMA = 1


def canonical(value: Any) -> str:
    """Canonical JSON: sorted keys, no blanks, UTF-8; equal values give equal text, whatever order they were set in.

    Raises:
        TypeError: for anything but None, bool, int, finite float, str, sequences and str-keyed mappings. There is no
            fallback to `str(value)`: an address in a repr would make every fingerprint new.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(payload: Mapping[str, Any]) -> str:
    """sha256 of the canonical JSON of a payload, as hex."""
    return hashlib.sha256(canonical(payload).encode()).hexdigest()


def stage_payload(
    *,
    kind: str,
    plugin: str,
    provider: str,
    revision: int,
    source: str | None,
    options: Mapping[str, Any],
    seed: int,
    inputs: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """What is hashed for a stage: everything its result depends on, and nothing else.

    Args:
        options: those that change results, components and registry entries expanded to what pins them.
        inputs: port -> fingerprints, in reading order.
    """
    return {
        "schema": SCHEMA,
        "kind": kind,
        "plugin": plugin,
        "provider": provider,
        "revision": revision,
        "source": source,
        "options": _plain(options),
        "seed": seed,
        "inputs": {port: list(found) for port, found in inputs.items()},
    }


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"a mapping with keys that are not text has no canonical form: {list(value)!r}")
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    raise TypeError(f"{type(value).__name__} has no canonical form")

"""A job: one stage as plain JSON. Whoever runs it rebuilds everything by name and checks that nothing changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from selma_core.errors import StageError

SCHEMA = 1


def _paths(values: Iterable[str | Path]) -> tuple[Path, ...]:
    return tuple(map(Path, values))


@attrs.frozen(kw_only=True)
class Job:
    """One stage to run, anywhere that sees the store.

    Attributes:
        node: its id, for messages and the manifest. kind: of plugin. plugin: `provider/name`.
        options: as written. seed: the run seed. inputs: port -> fingerprints.
        fingerprint: what the plan computed; the worker computes it again.
        store: the store's folder. device: `auto` or a torch device string. threads: of torch.
        files: single-file plugins.
    """

    node: str
    kind: str
    plugin: str
    options: Mapping[str, Any]
    seed: int
    inputs: Mapping[str, list[str]]
    fingerprint: str
    store: Path = attrs.field(converter=Path)
    device: str = "auto"
    threads: int = 1
    files: tuple[Path, ...] = attrs.field(default=(), converter=_paths)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        data = attrs.asdict(self) | {"store": str(self.store), "files": [str(path) for path in self.files]}
        return {"schema": SCHEMA, **data}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Job:
        """Reads what `to_json` wrote.

        Raises:
            StageError: for a job of another version, or with missing fields.
        """
        values = dict(data)
        if values.pop("schema", None) != SCHEMA:
            raise StageError("this job was written by another version of SELMA")
        try:
            return cls(**values)
        except TypeError as error:
            raise StageError(f"this is no job: {error}") from None

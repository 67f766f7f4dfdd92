"""JSON lines: strict reading that names file and row, appending that survives a kill."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypeVar

import attrs

from selma_core.errors import ArtifactError
from selma_core.files import write_bytes, writing

T = TypeVar("T")


def dump_row(row: Mapping[str, Any]) -> str:
    """One row as a line; keys keep their order, NaN is refused because JSON has none."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes a whole file of rows, or nothing."""
    write_bytes(path, "".join(map(dump_row, rows)).encode())


@attrs.frozen
class Row:
    """One row being read, with its place for error lines."""

    path: Path
    number: int
    values: Mapping[str, Any]

    def take(self, key: str, kind: type[T]) -> T:
        """The value under `key`.

        Raises:
            ArtifactError: when it is absent or not a `kind`; the message names file, row and key.
        """
        if key not in self.values:
            raise self.error(f"has no '{key}'")
        value = self.values[key]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.error(f"'{key}' is {type(value).__name__}, must be {kind.__name__}")
        return value

    def optional(self, key: str, kind: type[T]) -> T | None:
        """As `take`, but null or absent gives None."""
        return None if self.values.get(key) is None else self.take(key, kind)

    def number_or_none(self, key: str) -> float | None:
        """A number, or None for null or absent; whole numbers count."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(f"'{key}' is {type(value).__name__}, must be a number")
        return float(value)

    def error(self, what: str) -> ArtifactError:
        """An `ArtifactError` that names file and row."""
        return ArtifactError(f"{self.path}, row {self.number}: {what}")


def read_rows(path: Path) -> Iterator[Row]:
    """Reads every row of a finished file.

    Raises:
        ArtifactError: for a missing file, or a row that is no JSON object.
    """
    for number, line in enumerate(_lines(path), 1):
        yield Row(path, number, _parse(path, number, line))


def repair(path: Path) -> list[Row]:
    """Rows of a file that was being appended to: a truncated last line is cut off the file.

    Returns:
        the whole rows; an absent file has none.
    """
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        with writing(path), path.open("r+b") as file:
            file.truncate(len(whole))
    return list(read_rows(path))


class Appender:
    """Appends rows; each is handed to the system at once, so that only a power cut can lose it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with writing(path):
            self._file: IO[bytes] = path.open("ab")

    def add(self, row: Mapping[str, Any]) -> None:
        """Appends one row.

        Raises:
            StoreError: when the disk is full; the rows before stay.
        """
        with writing(self._path):
            self._file.write(dump_row(row).encode())
            self._file.flush()

    def __enter__(self) -> Appender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with writing(self._path):
            self._file.close()


def _lines(path: Path) -> Iterator[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{path}: is not UTF-8 (byte {error.start})") from None
    # Not splitlines(): that also cuts at separators which are allowed inside a JSON string.
    yield from text.removesuffix("\n").split("\n") if text else ()


def _parse(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        raise ArtifactError(f"{path}, row {number}: is no JSON") from None
    if not isinstance(value, dict):
        raise ArtifactError(f"{path}, row {number}: is {type(value).__name__}, must be an object")
    return value

"""What is known of a benchmark before and after its files are here."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selma_core.config import bind_options
from selma_core.errors import UserError
from selma_core.files import git_blob_file
from selma_core.models import Source, folder_digest
from selma_core.protocols import Describing
from selma_core.registry import Registry

if TYPE_CHECKING:
    from selma_core.catalog import Catalog

READER = "benchmark_prompts"
"""The prompt source that reads benchmarks."""


def benchmark_row(registry: Registry, qualified: str) -> dict[str, Any]:
    """One row of `selma benchmarks list`; a damaged entry is a row too."""
    one = registry.find("benchmarks", qualified)
    row: dict[str, Any] = {"name": one.name, "provider": one.provider, "license": None, "summary": None}
    try:
        data = registry.document("benchmarks", qualified).data
        row.update(license=data.get("license"), summary=data["summary"])
        row["status"] = _status(data, registry.sources("benchmarks", qualified))
    except UserError as error:
        row.update(status="damaged", summary=str(error))
    return row


def describe_benchmark(catalog: Catalog, registry: Registry, name: str) -> dict[str, Any]:
    """The object that `selma benchmarks show --json` prints.

    `path`, `prompts`, `questions`, `groups` and `pin` are null while the files are not here; `sha256` and `git_blob`
    are then what the download will be verified with.

    Raises:
        UserError: no such benchmark, or a file that cannot be read.
    """
    data, sources = registry.data("benchmarks", name), registry.sources("benchmarks", name)
    status = _status(data, sources)
    entry = registry.entry("benchmarks", name) if status == "present" else None
    found: Mapping[str, Any] = {} if entry is None else _contents(catalog, registry, name)
    file = None if entry is None or entry.path is None or entry.path.is_dir() else entry.path
    return {
        "name": name,
        "path": None if entry is None else str(entry.path),
        "status": status,
        "format": found.get("format", data.get("format")),
        "prompts": found.get("prompts"),
        "questions": found.get("questions"),
        "groups": found.get("groups"),
        "images_per_prompt": images_per_prompt(data),
        "evaluator": data.get("evaluator"),
        "summary": data.get("summary"),
        "license": data.get("license"),
        "reference": data.get("reference"),
        "notes": data.get("obtain") or data.get("notes"),
        "sha256": _promised(sources, "sha256") if file is None else folder_digest(file),
        "git_blob": _promised(sources, "git_blob") if file is None else git_blob_file(file),
        "pin": None if entry is None else entry.pin,
        "sources": [source.describe() for source in sources],
    }


def images_per_prompt(data: Mapping[str, Any]) -> int:
    """How many images of each prompt the benchmark's protocol asks for; 1 where it does not say."""
    found = data.get("images_per_prompt", 1)
    return found if isinstance(found, int) and found > 0 else 1


def _status(data: Mapping[str, Any], sources: tuple[Source, ...]) -> str:
    if "obtain" in data:
        return "bring your own"
    return "present" if not sources or any(source.present for source in sources) else "absent"


def _promised(sources: tuple[Source, ...], digest: str) -> str | None:
    return next((found for source in sources if (found := getattr(source, digest))), None)


def _contents(catalog: Catalog, registry: Registry, name: str) -> Mapping[str, Any]:
    from selma_core.stages.context import StageContext

    offer = catalog.find("prompt_source", READER)
    bound = bind_options(offer, {"benchmark": name}, path="", origins={}, catalog=catalog, registry=registry)
    reader = catalog.build(offer, bound)
    if not isinstance(reader, Describing):
        return {}
    with tempfile.TemporaryDirectory(prefix="selma-benchmark-") as folder:
        context = StageContext(
            seed=0, workdir=Path(folder), catalog=catalog, registry=registry, report=lambda event: None
        )
        return reader.contents(context)

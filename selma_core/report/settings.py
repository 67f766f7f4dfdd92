"""How the run was made: stages and their times, configuration, versions, the command that repeats it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from typing import Any

import attrs
import yaml

from selma_core.config.problems import COMMAND_LINE, split
from selma_core.redaction import without_secrets
from selma_core.report.source import ReportSource, read_or_note
from selma_core.store.manifest import Manifest, library_versions, read_manifest


@attrs.frozen
class StageRow:
    """One stage. Attributes: share = of the longest stage's time, 0-100; made = when its artifact was first made."""

    id: str
    kind: str
    plugin: str
    outcome: str
    seconds: float
    share: float
    fingerprint: str
    made: str
    took: str
    error: str


def stage_rows(source: ReportSource, manifests: Mapping[str, Manifest]) -> list[StageRow]:
    """All stages in the order of the graph."""
    longest = max((node.seconds for node in source.nodes), default=0.0) or 1.0
    rows = []
    for node in source.nodes:
        manifest = manifests.get(node.id)
        rows.append(
            StageRow(
                id=node.id,
                kind=node.kind,
                plugin=node.plugin,
                outcome=node.outcome,
                seconds=node.seconds,
                share=100.0 * node.seconds / longest,
                fingerprint=node.fingerprint,
                made=manifest.created.replace("T", " ")[:16] if manifest else "",
                took=f"{manifest.seconds:.1f}" if manifest else "",
                error=node.error or "",
            )
        )
    return rows


def manifests(source: ReportSource, notes: list[str]) -> dict[str, Manifest]:
    """Node id -> manifest of its artifact."""
    found = {}
    for node in source.nodes:
        folder = node.artifact
        if folder is not None:
            manifest = read_or_note(notes, f"manifest of {node.id}", read_manifest, folder)
            if manifest is not None:
                found[node.id] = manifest
    return found


def outcomes(source: ReportSource) -> str:
    """`12 ran, 3 reused`."""
    counts = Counter(node.outcome for node in source.nodes)
    return ", ".join(f"{counts[name]} {name}" for name in ("ran", "reused", "failed") if counts[name])


def warnings(source: ReportSource) -> list[tuple[str, str]]:
    """(node id, line) of everything a stage wanted the user to see."""
    return [(node.id, line) for node in source.nodes for line in node.warnings]


def config_text(source: ReportSource) -> str:
    """The resolved recipe as YAML, without secrets."""
    return yaml.safe_dump(without_secrets(source.recipe.data), sort_keys=False, allow_unicode=True, width=100)


def payload_text(manifest: Manifest) -> str:
    """What entered the fingerprint, defaults included, as YAML."""
    return yaml.safe_dump(without_secrets(manifest.payload), sort_keys=False, allow_unicode=True, width=100)


def versions(found: Mapping[str, Manifest]) -> dict[str, str]:
    """Library -> version (several where stored stages were made by others), then Python and platform."""
    seen: dict[str, dict[str, None]] = {name: {version: None} for name, version in library_versions().items()}
    for manifest in found.values():
        extra = {"python": manifest.python, "platform": manifest.platform}
        for name, version in {**manifest.libraries, **extra}.items():
            seen.setdefault(name, {})[version] = None
    return {name: ", ".join(each) for name, each in seen.items()}


def command(source: ReportSource) -> str:
    """The command line that repeats the run, with its overrides."""
    overrides = [
        f"-o {shlex.quote(f'{path}={_value(source.recipe.data, path)}')}"
        for path, layer in source.recipe.origins.items()
        if layer == COMMAND_LINE
    ]
    path = source.recipe.path
    known_by_name = path is None or path.parent.name == "recipes"
    return " ".join(["selma", "run", shlex.quote(source.recipe.name if known_by_name else str(path)), *overrides])


def _value(data: Mapping[str, Any], path: str) -> str:
    found: Any = data
    for part in split(path):
        found = found.get(part, "") if isinstance(found, Mapping) else ""
    return yaml.safe_dump(found, default_flow_style=True, width=10_000).split("\n")[0].strip()

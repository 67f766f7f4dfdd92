"""How the run was made: stages and their times, configuration, versions, the command that repeats it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache

import attrs
import yaml

from selma_core.graph.same_judge import SharedJudge
from selma_core.redaction import without_secrets
from selma_core.report.source import ReportSource, read_or_note
from selma_core.store.manifest import Manifest, library_versions, read_manifest

_PAYLOADS = 600_000


@attrs.frozen
class StageRow:
    """One stage.

    Attributes:
        share: of the longest stage's time, 0-100. made: when its artifact was first made; took: seconds it took then.
        memory: its peak in bytes, None where it was not recorded.
    """

    id: str
    kind: str
    plugin: str
    outcome: str
    seconds: float
    share: float
    fingerprint: str
    made: str
    took: str
    memory: int | None
    error: str


def stage_rows(source: ReportSource, manifests: Mapping[str, Manifest]) -> list[StageRow]:
    """All stages in the order of the graph; several nodes with one fingerprint are one stage, named by the first."""
    longest = max((node.seconds for node in source.nodes), default=0.0) or 1.0
    rows = []
    for node in {node.fingerprint: node for node in reversed(source.nodes)}.values():
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
                memory=max(manifest.peak_memory.values(), default=None) if manifest else None,
                error=node.error or "",
            )
        )
    return rows[::-1]


def manifests(source: ReportSource, notes: list[str]) -> dict[str, Manifest]:
    """Node id -> manifest of its artifact."""
    found, read = {}, cache(read_manifest)
    for node in source.nodes:
        folder = node.artifact
        if folder is not None:
            manifest = read_or_note(notes, f"manifest of {node.id}", read, folder)
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


def cautions(source: ReportSource) -> list[str]:
    """One line per judge who has helped to choose what it scores."""
    return [SharedJudge.from_json(row).line for row in source.result.get("shared_judges") or ()]


def config_text(source: ReportSource) -> str:
    """The resolved recipe as YAML, without secrets."""
    return yaml.safe_dump(without_secrets(source.recipe.data), sort_keys=False, allow_unicode=True, width=100)


def payloads(made: Mapping[str, Manifest]) -> dict[str, str]:
    """Node id -> its payload as YAML, each fingerprint once, the first few hundred thousand bytes of them."""
    first = {manifest.fingerprint: name for name, manifest in reversed(list(made.items()))}
    found, left = {}, _PAYLOADS
    for name, manifest in made.items():
        if first[manifest.fingerprint] == name and left > 0:
            found[name] = payload_text(manifest)
            left -= len(found[name])
    return found


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

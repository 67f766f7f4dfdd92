"""From what a stage reads to node ids, checked against the ports of its kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from selma_core.errors import did_you_mean
from selma_core.graph.drafts import Draft
from selma_core.graph.problems import Problems
from selma_core.kinds import BY_NAME
from selma_core.records import AdapterTrainerRecord, Record


@attrs.frozen
class Port:
    """An input of a kind. Attributes: artifact it takes; optional; many = it takes one or more."""

    name: str
    artifact: str
    optional: bool
    many: bool


def ports(kind: str) -> dict[str, Port]:
    """The input ports of a kind of stage, by name."""
    found = (
        Port(spec.rstrip("*?"), artifact, optional=spec.endswith("?"), many="*" in spec)
        for spec, artifact in BY_NAME[kind].ports
    )
    return {port.name: port for port in found}


def link(draft: Draft, drafts: Mapping[str, Draft], problems: Problems) -> dict[str, tuple[str, ...]]:
    """Port -> node ids that a draft reads, in the order of the kind's ports; mistakes are noted."""
    known = ports(draft.kind)
    path = f"{draft.path}.from"
    for name in draft.reads:
        if name not in known:
            hint = did_you_mean(name, known) if known else f"a {draft.kind} reads nothing"
            problems.add(f"{path}.{name}", "unknown port", hint)
    found = {}
    for port in known.values():
        nodes = tuple(_resolve_all(draft, port, drafts, problems))
        if nodes:
            found[port.name] = nodes
        elif not port.optional and not draft.reads.get(port.name):
            axis = draft.opened.get(port.name)
            hint = f"nothing comes before round 1; say what it reads there under axes.{axis}.first" if axis else ""
            problems.add(path, f"'{port.name}' is missing: the {port.artifact} that a {draft.kind} reads", hint)
    return found


def check_reads(draft: Draft, record: Record, problems: Problems) -> None:
    """Notes ports that the plugin itself does not read, and that it was given none of those that it needs one of."""
    if not isinstance(record, AdapterTrainerRecord):
        return
    path = f"{draft.path}.from"
    for name in ("images", "prompts"):
        if draft.reads.get(name) and name not in record.reads:
            problems.add(f"{path}.{name}", f"'{record.name}' reads no {name}", f"it reads {' or '.join(record.reads)}")
    if not any(draft.reads.get(name) for name in record.reads):
        wanted = " or ".join(f"'{name}'" for name in record.reads)
        problems.add(path, f"{wanted} is missing: the {' or '.join(record.reads)} that '{record.name}' reads")


def _resolve_all(draft: Draft, port: Port, drafts: Mapping[str, Draft], problems: Problems) -> Iterator[str]:
    path = f"{draft.path}.from.{port.name}"
    nodes: dict[str, None] = {}
    for reference in draft.reads.get(port.name, ()):
        for name in _resolve(draft, reference, drafts, path, problems):
            if name in nodes:
                problems.add(path, f"'{name}' is read twice")
            nodes[name] = None
    for label, kind in dict.fromkeys((drafts[name].label, drafts[name].kind) for name in nodes):
        artifact = BY_NAME[kind].artifact
        if artifact != port.artifact:
            problems.add(path, f"takes {port.artifact}, but '{label}' ({kind}) makes {artifact}")
    if len(nodes) > 1 and not port.many:
        problems.add(path, f"takes one input, but {len(nodes)} were given: {', '.join(nodes)}")
    yield from nodes


def _resolve(
    draft: Draft, reference: str, drafts: Mapping[str, Draft], path: str, problems: Problems
) -> tuple[str, ...]:
    if reference in drafts:
        return (reference,)
    labelled = [other for other in drafts.values() if other.label == reference]
    if not labelled:
        label = reference.partition("[")[0]
        nodes = [other.id for other in drafts.values() if other.label == label]
        names = nodes or ({other.label: None for other in drafts.values()} if "[" not in reference else drafts)
        problems.add(path, f"there is no stage '{reference}'", did_you_mean(reference, names))
        return ()
    # Axes that both have are read one to one; those that only the other has are gathered, in axis order.
    return tuple(other.id for other in labelled if _agree(draft.axes, other.axes))


def _agree(mine: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return all(mine[axis] == value for axis, value in other.items() if axis in mine)

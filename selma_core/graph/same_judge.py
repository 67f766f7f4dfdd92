"""Whether a judge scores what it has chosen: what was selected to please a judge tells nothing by pleasing it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from selma_core.graph.fingerprint import canonical
from selma_core.graph.node import Graph, Node
from selma_core.options import info


@attrs.frozen(kw_only=True)
class SharedJudge:
    """Attributes: judge = plugin; scores = label of the stage that counts; selects = labels of stages before it."""

    judge: str
    scores: str
    selects: tuple[str, ...]

    @property
    def line(self) -> str:
        """One line for a person."""
        return (
            f"'{self.judge}' scores here what it has helped to choose ({', '.join(self.selects)}); "
            "have another judge score the same images too"
        )

    def to_json(self) -> dict[str, Any]:
        """A row of `shared_judges` in the JSON of a run or an ablation."""
        return {"judge": self.judge, "scores": self.scores, "selects": list(self.selects)}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> SharedJudge:
        """Back from such a row."""
        return cls(judge=str(row["judge"]), scores=str(row["scores"]), selects=tuple(map(str, row["selects"])))


def shared_judges(graph: Graph, scored: Iterable[Node]) -> tuple[SharedJudge, ...]:
    """The judges of `scored` that also judge in a stage before it, for a selector, a merge search or a reward.

    A judge is the chat model under an evaluator's option `judge`, else the evaluator itself; it is the same one if
    plugin and model are the same.
    """
    found: dict[tuple[str, str], dict[str, None]] = {}
    for node in scored:
        own = {_identity(one): str(one["plugin"]) for one in _judges(node)}
        for above in _above(graph, node):
            for name in {own[_identity(one)] for one in _judges(above) if _identity(one) in own}:
                found.setdefault((name, node.label), {})[above.label] = None
    return tuple(SharedJudge(judge=name, scores=label, selects=tuple(at)) for (name, label), at in found.items())


def _above(graph: Graph, node: Node) -> list[Node]:
    """All that a node was made of, in the recipe's order."""
    names, todo = set[str](), list(node.reads)
    while todo:
        name = todo.pop()
        if name not in names:
            names.add(name)
            todo += graph[name].reads
    return [graph[name] for name in graph.written if name in names]


def _judges(node: Node) -> Iterator[Mapping[str, Any]]:
    """Payloads of the judges of an evaluator, or of the evaluators that another stage names in its options."""
    if node.kind == "evaluator":
        yield _judge(node.payload)
        return
    for field in attrs.fields(type(node.bound)):
        if info(field).component == "evaluator":
            yield from (_judge(one) for one in _components(node.payload["options"].get(field.name)))


def _components(value: Any) -> Sequence[Mapping[str, Any]]:
    """An option of one component, or of several by name; none where none is chosen."""
    if not isinstance(value, Mapping):
        return ()
    return [value] if "plugin" in value else [one for one in value.values() if isinstance(one, Mapping)]


def _judge(evaluator: Mapping[str, Any]) -> Mapping[str, Any]:
    answers = evaluator["options"].get("judge")
    return answers if isinstance(answers, Mapping) else evaluator


def _identity(judge: Mapping[str, Any]) -> str:
    return canonical([judge["provider"], judge["plugin"], judge["options"].get("model")])

"""Whether a judge scores what it has chosen: what was selected to please a judge tells nothing by pleasing it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from selma_core.graph.fingerprint import canonical
from selma_core.graph.needed import SCORER
from selma_core.graph.node import Graph, Node
from selma_core.options import info


@attrs.frozen(kw_only=True)
class SharedJudge:
    """Attributes: judge = plugin; scores = label of the stage that counts; selects = labels of stages before it in
    which it judged; learnt = labels of the stages that trained it on pictures that it scores now."""

    judge: str
    scores: str
    selects: tuple[str, ...]
    learnt: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """One line for a person."""
        parts = [
            f"what it has helped to choose ({', '.join(self.selects)})" if self.selects else "",
            f"pictures that it was trained on ({', '.join(self.learnt)})" if self.learnt else "",
        ]
        what = " and ".join(part for part in parts if part)
        return f"'{self.judge}' scores here {what}; have another judge score the same images too"

    def to_json(self) -> dict[str, Any]:
        """A row of `shared_judges` in the JSON of a run or an ablation."""
        return {
            "judge": self.judge,
            "scores": self.scores,
            "selects": list(self.selects),
            "learnt": list(self.learnt),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> SharedJudge:
        """Back from such a row."""
        selects, learnt = (tuple(map(str, row.get(key) or ())) for key in ("selects", "learnt"))
        return cls(judge=str(row["judge"]), scores=str(row["scores"]), selects=selects, learnt=learnt)


def shared_judges(graph: Graph, scored: Iterable[Node]) -> tuple[SharedJudge, ...]:
    """The judges of `scored` that also judge in a stage before it, for a selector, a merge search or a reward.

    A judge is the chat model under an evaluator's option `judge`, else the evaluator itself; it is the same one if
    plugin and model (or the scorer at the stage's port) are the same. So is one that was trained on what it scores.
    """
    found: dict[tuple[str, str], dict[str, None]] = {}
    learnt: dict[tuple[str, str], dict[str, None]] = {}
    for node in scored:
        own = {_identity(one): str(one["plugin"]) for one in _judges(node)}
        for above in _above(graph, node):
            for name in {own[_identity(one)] for one in _judges(above) if _identity(one) in own}:
                found.setdefault((name, node.label), {})[above.label] = None
        for trainer in (graph[name] for name in node.inputs.get(SCORER, ())):
            if _pictures(graph, trainer) & _pictures(graph, node):
                learnt.setdefault((str(node.payload["plugin"]), node.label), {})[trainer.label] = None
    return tuple(
        SharedJudge(
            judge=name,
            scores=label,
            selects=tuple(found.get((name, label), ())),
            learnt=tuple(learnt.get((name, label), ())),
        )
        for name, label in {**found, **learnt}
    )


def _pictures(graph: Graph, node: Node) -> set[str]:
    """The image stages that a node reads, and those that a selector among them chose from."""
    names, todo = set[str](), list(node.inputs.get("images", ()))
    while todo:
        name = todo.pop()
        if name not in names:
            names.add(name)
            todo += graph[name].inputs.get("images", ())
    return names


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
        yield _with_scorer(_judge(node.payload), node)
        return
    for field in attrs.fields(type(node.bound)):
        if info(field).component == "evaluator":
            named = _components(node.payload["options"].get(field.name))
            yield from (_with_scorer(_judge(one), node) for one in named)


def _with_scorer(judge: Mapping[str, Any], node: Node) -> Mapping[str, Any]:
    """A judge without a model of its own is the one at the port `scorer`."""
    named = judge["options"].get("model", "none")
    return judge if named is not None else {**judge, SCORER: node.input_fingerprints.get(SCORER)}


def _components(value: Any) -> Sequence[Mapping[str, Any]]:
    """An option of one component, or of several by name; none where none is chosen."""
    if not isinstance(value, Mapping):
        return ()
    return [value] if "plugin" in value else [one for one in value.values() if isinstance(one, Mapping)]


def _judge(evaluator: Mapping[str, Any]) -> Mapping[str, Any]:
    answers = evaluator["options"].get("judge")
    return answers if isinstance(answers, Mapping) else evaluator


def _identity(judge: Mapping[str, Any]) -> str:
    return canonical([judge["provider"], judge["plugin"], judge["options"].get("model"), judge.get(SCORER)])

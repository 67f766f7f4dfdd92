"""From the finished stages of a recipe to its numbers: summaries, scores, comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from selma_core.artifacts.images import read_import
from selma_core.artifacts.scores import read_scores
from selma_core.comparisons import comparisons, members, single_runs
from selma_core.data import Summary
from selma_core.errors import UnknownNameError, did_you_mean
from selma_core.graph.node import Graph, Node, Staged
from selma_core.graph.problems import Problems
from selma_core.graph.same_judge import SharedJudge, shared_judges
from selma_core.judge_agreement import agreement_rows
from selma_core.result import NodeResult
from selma_core.scoring import score_entry, summarise
from selma_core.stage_lookup import options_text

if TYPE_CHECKING:
    from selma_core.session import Session

Summaries = dict[str, dict[str, Summary]]
AnyStaged = TypeVar("AnyStaged", bound=Staged)


def score_nodes(graph: Graph, report: Mapping[str, Any]) -> tuple[Node, ...]:
    """The nodes whose scores count, as written: those of `report.scores` (a label or several), else every evaluator."""
    return _scored((graph[name] for name in graph.written), report)


def _scored(nodes: Iterable[AnyStaged], report: Mapping[str, Any]) -> tuple[AnyStaged, ...]:
    named = report.get("scores")
    labels = [named] if isinstance(named, str) else named
    return tuple(node for node in nodes if node.kind == "evaluator" and (not labels or node.label in labels))


def variant_of(node: Staged) -> str:
    """The name that a node's scores go by: its axis value, or its label when it runs over no axis."""
    return ",".join(node.axes.values()) or node.label


def check_report(report: Mapping[str, Any], nodes: Sequence[Staged], problems: Problems) -> None:
    """Notes every stage and variant that a recipe's `report` section names and that does not exist.

    Args:
        nodes: of the recipe, as written.
    """
    labels = list(dict.fromkeys(node.label for node in nodes if node.kind == "evaluator"))
    scores = report.get("scores") or []
    wrong = [label for label in ([scores] if isinstance(scores, str) else scores) if label not in labels]
    for label in wrong:
        problems.add("report.scores", f"no evaluator stage '{label}'; {did_you_mean(label, labels)}")
    if wrong:  # so it is not known which variants there are
        return
    variants = [variant_of(node) for node in _scored(nodes, report)]
    pairs = [("report.compare", name) for pair in report.get("compare") or [] for name in pair]
    for path, name in [*pairs, *([("report.baseline", report["baseline"])] if report.get("baseline") else [])]:
        try:
            members(name, variants)
        except UnknownNameError as error:
            problems.add(path, str(error))


def summaries_of(session: Session, results: Mapping[str, NodeResult]) -> Summaries:
    """variant -> metric -> summary, in recipe order; stages that failed are left out.

    Args:
        results: node id -> result.
    """
    report = session.recipe.data["report"]
    found: Summaries = {}
    for node in score_nodes(session.graph, report):
        folder = results[node.id].artifact
        if folder is None:
            continue
        table = read_scores(folder)
        evaluator = session.catalog.build(node.offer, node.bound)
        metrics = found.setdefault(variant_of(node), {})
        # Two evaluators of one metric (two judges): the second goes by metric and label.
        name = table.info.name if table.info.name not in metrics else f"{table.info.name}:{node.label}"
        summary = summarise(evaluator, table, report.get("rule"))
        expected = len(table.rows) + missing_images(session.graph, node, results)
        metrics[name] = attrs.evolve(summary, expected_images=expected)
    return found


def missing_images(graph: Graph, node: Node, results: Mapping[str, NodeResult]) -> int:
    """How many images an evaluator was not given because the folder that they were taken from lacks them."""
    missing = 0
    for name in node.inputs.get("images", ()):
        folder, above = results[name].artifact, graph[name]
        record = read_import(folder) if folder is not None else None
        if record is not None:
            missing += max(0, record["expected_images"] - record["found_images"])
        missing += missing_images(graph, above, results)
    return missing


def score_json(summaries: Summaries, seed: int) -> dict[str, dict[str, Any]]:
    """The `scores` of a run's JSON."""
    return {
        variant: {metric: score_entry(summary, seed) for metric, summary in metrics.items()}
        for variant, metrics in summaries.items()
    }


def comparison_json(summaries: Summaries, report: Mapping[str, Any], seed: int) -> list[dict[str, Any]]:
    """The `comparisons` of a run's JSON: those of `report.compare`, else each variant with `report.baseline`."""
    pairs: Sequence[Sequence[str]] = report.get("compare") or ()
    baseline = str(report.get("baseline") or "")
    return comparisons(single_runs(summaries), pairs, baseline, seed=seed) if pairs or baseline else []


def agreement_json(session: Session, results: Mapping[str, NodeResult]) -> list[dict[str, Any]]:
    """The `agreement` of a run's JSON; empty unless two evaluators of one metric have different judges."""
    nodes = score_nodes(session.graph, session.recipe.data["report"])
    folders = [(variant_of(node), results[node.id].artifact) for node in nodes]
    if len({label for label, _ in folders}) == len(folders):  # no variant was scored twice: nothing to read
        return []
    return agreement_rows([(variant, read_scores(folder)) for variant, folder in folders if folder is not None])


def judge_warnings(session: Session) -> tuple[SharedJudge, ...]:
    """The judges of the scores that count who had a hand in what they score."""
    return shared_judges(session.graph, score_nodes(session.graph, session.recipe.data["report"]))


def benchmark_notes(session: Session, results: Sequence[NodeResult]) -> list[str]:
    """One line per prompt set that was judged: its options, which may cut a benchmark to a subset, and its warnings."""
    by_id = {node.id: node for node in results}
    lines = []
    for node in _judged_prompts(session):
        options = options_text(node.options)
        lines.append(f"prompts: {node.id} = {node.offer.name}{f' ({options})' if options else ''}")
        lines += [f"{node.id}: {line}" for line in by_id[node.id].warnings]
    return lines


def _judged_prompts(session: Session) -> list[Node]:
    """The prompt sources from which the judged images were drawn, in recipe order."""
    images = [
        session.graph[name] for node in score_nodes(session.graph, session.recipe.data["report"]) for name in node.reads
    ]
    found: set[str] = set()
    while images:
        node = images.pop()
        sources = node.inputs.get("prompts", ())
        found.update(sources)
        images += [session.graph[name] for name in node.inputs.get("images", ())]
    return [session.graph[name] for name in session.graph.written if name in found]

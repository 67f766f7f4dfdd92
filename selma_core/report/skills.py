"""The prompts of each skill, what was rejected and why, and images drawn from them."""

from __future__ import annotations

from collections import defaultdict

import attrs

from selma_core.artifacts.prompts import PromptSet
from selma_core.report.pictures import Cell, samples
from selma_core.report.source import ReportNode, ReportSource, read_or_note

_PROMPTS = 8
_IMAGES = 6
_EXAMPLES = 3


@attrs.frozen
class Rejections:
    """One reason. Attributes: examples = (text, detail) of the first few."""

    reason: str
    count: int
    examples: tuple[tuple[str, str], ...]


@attrs.frozen
class PromptCard:
    """One prompt stage."""

    node: str
    title: str
    count: int
    texts: tuple[str, ...]
    rejected: tuple[Rejections, ...]
    rejected_count: int
    images: tuple[Cell, ...]


def prompt_cards(source: ReportSource, notes: list[str]) -> list[PromptCard]:
    """One per prompt stage that has an artifact."""
    cards = []
    for node in source.nodes:
        if node.kind == "prompt_source" and node.artifact is not None:
            found = read_or_note(notes, f"prompts of {node.id}", source.prompts, node.id)
            if found is not None and (found.prompts or found.rejected):
                cards.append(_card(source, node, found, notes))
    return cards


def _card(source: ReportSource, node: ReportNode, found: PromptSet, notes: list[str]) -> PromptCard:
    step = max(1, len(found.prompts) // _PROMPTS)
    return PromptCard(
        node=node.id,
        title=", ".join(node.axes.values()) or node.label,
        count=len(found.prompts),
        texts=tuple(prompt.text for prompt in found.prompts[::step][:_PROMPTS]),
        rejected=_rejections(found),
        rejected_count=len(found.rejected),
        images=tuple(_images(source, node, notes)),
    )


def _rejections(found: PromptSet) -> tuple[Rejections, ...]:
    by_reason: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for rejected in found.rejected:
        by_reason[rejected.reason].append((rejected.text, rejected.detail))
    ordered = sorted(by_reason.items(), key=lambda item: -len(item[1]))
    return tuple(Rejections(reason, len(each), tuple(each[:_EXAMPLES])) for reason, each in ordered)


def _images(source: ReportSource, prompts: ReportNode, notes: list[str]) -> list[Cell]:
    """A few images of the stage that drew these prompts, unless they are the judged ones."""
    judged = {node.id for variant in source.summaries if (node := source.sample_node(variant)) is not None}
    for node in source.nodes:
        drawn = node.kind == "image_generator" and node.artifact is not None and node.id not in judged
        if drawn and prompts.id in node.reads and dict(node.axes) == dict(prompts.axes):
            items = read_or_note(notes, f"images of {node.id}", source.images, node.id) or ()
            return samples(items, _IMAGES, notes)
    return []

"""The questions of a prompt, as DSG asks them: one per fact, children after their parents."""

from attrs import define, field, frozen

from selma_plugins.shapes.grammar import ShapePrompt
from selma_plugins.shapes.spec import Group, Spec
from selma_plugins.shapes.words import NUMBERS, PLURALS

ASKED = {
    "left": "to the left of",
    "right": "to the right of",
    "above": "above",
    "below": "below",
}
ROOT = (0,)


@frozen
class Question:
    """One row of a DSG benchmark. `dependency` holds proposition ids; (0,) depends on none."""

    proposition_id: int
    dependency: tuple[int, ...]
    category_broad: str
    category_detailed: str
    tuple: str
    question: str


def named(group: Group) -> tuple[str, str]:
    """The verb and the name under which a group is asked about: ("Are", "circles")."""
    return ("Is", group.shape) if group.count == 1 else ("Are", PLURALS[group.shape])


@define
class _Sheet:
    """The questions so far; numbers them as they come."""

    rows: list[Question] = field(factory=list)

    def add(self, parents: tuple[int, ...], broad: str, detailed: str, said: str, question: str) -> int:
        number = len(self.rows) + 1
        self.rows.append(Question(number, parents, broad, detailed, f"{broad} - {detailed} ({said})", question))
        return number


def _group(sheet: _Sheet, group: Group) -> int:
    """Existence, count, colour and size of a group; returns the id of its existence."""
    verb, name = named(group)
    there = f"{verb} there {'a ' if group.count == 1 else ''}{name}?"
    entity = sheet.add(ROOT, "entity", "whole", name, there)
    if group.count > 1:
        number = NUMBERS[group.count][0]
        question = f"Are there {number} {name}?"
        sheet.add((entity,), "other", "count", f"{name}, =={group.count}", question)
    for kind, value in (("color", group.color), ("size", group.size)):
        if value:
            question = f"{verb} the {name} {value}?"
            sheet.add((entity,), "attribute", kind, f"{name}, {value}", question)
    return entity


def questions_for(spec: Spec) -> list[Question]:
    """Every fact of a spec as a question."""
    sheet = _Sheet()
    entities = [_group(sheet, group) for group in spec.groups]
    for link in spec.relations:
        verb, first = named(spec.groups[link.first])
        second = named(spec.groups[link.second])[1]
        question = f"{verb} the {first} {ASKED[link.where]} the {second}?"
        parents = (entities[link.first], entities[link.second])
        said = f"{first}, {second}, {link.where}"
        sheet.add(parents, "relation", "spatial", said, question)
    if spec.background:
        question = f"Is the background {spec.background}?"
        sheet.add(ROOT, "global", "background", f"background, {spec.background}", question)
    return sheet.rows


def questions_of(prompt: ShapePrompt) -> list[Question]:
    """The questions of a prompt, in order of their proposition ids."""
    return questions_for(prompt.spec)

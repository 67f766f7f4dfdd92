"""What the three calls say: an instruction each, and a handful of prompts solved by hand for this project."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from selma_plugins.evaluation.writing.few_shot import Case


@attrs.frozen
class Solved:
    """A prompt with its lines. Attributes: rows = (tuple, question, parent ids) of each id, from 1."""

    text: str
    rows: tuple[tuple[str, str, str], ...]

    def column(self, index: int) -> str:
        """One column as reply lines."""
        return "\n".join(f"{i} | {row[index]}" for i, row in enumerate(self.rows, 1))


@attrs.frozen
class Step:
    """One of the calls. Attributes: name = what it asks for; case = a solved prompt as its example."""

    name: str
    instruction: str
    case: Callable[[Solved], Case]


def _from_tuples(column: int) -> Callable[[Solved], Case]:
    return lambda solved: Case(f"{solved.text}\n{solved.column(0)}", solved.column(column))


TUPLES = Step(
    "tuples",
    "Split the description of an image into the smallest statements that can each be seen to hold or not.\n"
    "Write one per line: an id, a bar, and the statement as `category - kind (what, ...)`. Categories and kinds:\n"
    "entity - whole, entity - part; attribute - color, material, shape, size, state, style, texture, type; "
    "relation - spatial, action; other - count, text rendering; global - for the image as a whole.\n"
    "Things first, then what is said of them. Say nothing that the description does not say.",
    lambda solved: Case(solved.text, solved.column(0)),
)
QUESTIONS = Step(
    "questions",
    "For each statement about an image, write the question whose answer is yes exactly when it holds.\n"
    "Write one per line: the statement's id, a bar, and the question. Use every id once.",
    _from_tuples(1),
)
DEPENDENCIES = Step(
    "dependencies",
    "For each statement about an image, name the statements without which it makes no sense: to ask for a thing's "
    "colour, the thing must be there.\n"
    "Write one per line: the statement's id, a bar, and the ids it needs, separated by commas; 0 for none. Use every "
    "id once.",
    _from_tuples(2),
)

CASES = (
    Solved(
        "a sleepy orange cat inside a cardboard box",
        (
            ("entity - whole (cat)", "Is there a cat?", "0"),
            ("entity - whole (box)", "Is there a box?", "0"),
            ("attribute - state (cat, sleepy)", "Is the cat sleepy?", "1"),
            ("attribute - color (cat, orange)", "Is the cat orange?", "1"),
            ("attribute - material (box, cardboard)", "Is the box made of cardboard?", "2"),
            ("relation - spatial (cat, box, inside)", "Is the cat inside the box?", "1,2"),
        ),
    ),
    Solved(
        "Watercolour of three sailing boats, the one on the left with a torn sail",
        (
            ("global - style (watercolour)", "Is this a watercolour?", "0"),
            ("entity - whole (sailing boats)", "Are there sailing boats?", "0"),
            ("other - count (sailing boats, ==3)", "Are there three sailing boats?", "2"),
            ("relation - spatial (one boat, other boats, left of)", "Is one boat left of the others?", "2"),
            ("entity - part (left boat's sail)", "Does the boat on the left have a sail?", "4"),
            ("attribute - state (left boat's sail, torn)", "Is the sail of the boat on the left torn?", "5"),
        ),
    ),
    Solved(
        'A baker hands a loaf to a child under a sign that reads "FRESH"',
        (
            ("entity - whole (baker)", "Is there a baker?", "0"),
            ("entity - whole (loaf)", "Is there a loaf of bread?", "0"),
            ("entity - whole (child)", "Is there a child?", "0"),
            ("entity - whole (sign)", "Is there a sign?", "0"),
            ("relation - action (baker, loaf, child, hand to)", "Does the baker hand the loaf to the child?", "1,2,3"),
            ("relation - spatial (baker, sign, under)", "Is the baker under the sign?", "1,4"),
            ('other - text rendering (sign, "FRESH")', 'Does the sign read "FRESH"?', "4"),
        ),
    ),
    Solved(
        "empty street at night, wet cobblestones",
        (
            ("global - time (night)", "Is it night?", "0"),
            ("entity - whole (street)", "Is there a street?", "0"),
            ("attribute - state (street, empty)", "Is the street empty?", "2"),
            ("entity - whole (cobblestones)", "Are there cobblestones?", "0"),
            ("attribute - state (cobblestones, wet)", "Are the cobblestones wet?", "4"),
        ),
    ),
    Solved(
        "A tall glass vase stands between two books on a wooden shelf.",
        (
            ("entity - whole (vase)", "Is there a vase?", "0"),
            ("attribute - size (vase, tall)", "Is the vase tall?", "1"),
            ("attribute - material (vase, glass)", "Is the vase made of glass?", "1"),
            ("entity - whole (books)", "Are there books?", "0"),
            ("other - count (books, ==2)", "Are there two books?", "4"),
            ("entity - whole (shelf)", "Is there a shelf?", "0"),
            ("attribute - material (shelf, wooden)", "Is the shelf made of wood?", "6"),
            ("relation - spatial (vase, books, between)", "Does the vase stand between the books?", "1,4"),
            ("relation - spatial (vase, shelf, on)", "Is the vase on the shelf?", "1,6"),
        ),
    ),
)

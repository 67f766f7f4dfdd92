"""Requests by example: an instruction, solved cases, and the case to solve."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

# A model that only continues a text would go on with a case of its own.
STOP = ("\ninput:",)


@attrs.frozen
class Case:
    """A solved case. Attributes: input, output = texts of one or more lines."""

    input: str
    output: str


def request_text(instruction: str, cases: Sequence[Case], given: str) -> str:
    """Ends in `output:`, where the reply goes on."""
    blocks = [instruction, *(f"input: {case.input}\noutput:\n{case.output}" for case in cases)]
    return "\n\n".join([*blocks, f"input: {given}\noutput:"])


def after_output(reply: str) -> list[str]:
    """The lines of a reply that hold something: those after `output:` where it says that, up to a case of its own."""
    _, mark, text = reply.partition("output:")
    lines = [line.strip() for line in (text if mark else reply).splitlines()]
    end = next((i for i, line in enumerate(lines) if line.startswith("input:")), len(lines))
    return [line for line in lines[:end] if line and not line.startswith(("```", "~~~"))]

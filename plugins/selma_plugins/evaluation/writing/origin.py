"""Where an evaluator's questions come from. Light: options classes import it."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core.options import Slot


def origin_needs(benchmark: str, writer: Slot) -> Iterator[tuple[str, str]]:
    """(option, what is wrong) unless exactly one of the two is given.

    Asked before a run starts, not when the options are built: scoring what is stored knows neither of them.
    """
    if not benchmark and not writer.use:
        yield "benchmark", "no questions; name a question file, or a chat model that writes them (option writer)"
    elif benchmark and writer.use:
        yield "writer", "the benchmark has its questions already; give either benchmark or writer"

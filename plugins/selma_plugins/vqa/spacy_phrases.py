"""Noun phrases by spaCy, as T2I-CompBench's released script finds them. spaCy is optional."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from selma_core.errors import UserError

Chunker = Callable[[str], list[str]]


def spacy_chunker(model: str) -> tuple[Chunker, str]:
    """(text -> noun phrases, who finds them: `spacy en_core_web_sm 3.8.0`).

    Raises:
        UserError: spaCy or its pipeline is not installed; says what to type.
    """
    try:
        spacy: Any = import_module("spacy")
    except ImportError:
        raise UserError(
            "t2i_compbench: phrases: spacy needs spaCy, which is not installed; type: pip install 'selma[spacy]' && "
            f"python -m spacy download {model}; or take phrases: template"
        ) from None
    try:
        nlp = spacy.load(model)
    except OSError:
        raise UserError(
            f"t2i_compbench: spaCy has no pipeline '{model}'; type: python -m spacy download {model}"
        ) from None
    return lambda text: [chunk.text for chunk in nlp(text).noun_chunks], f"spacy {model} {nlp.meta['version']}"

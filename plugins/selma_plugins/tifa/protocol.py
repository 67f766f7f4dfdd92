"""How a question is put to the judge. Source of the wordings: tifascore/vqa_models.py of TIFA and of SELMA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selma_core.data import ChatRequest, ImageItem, Message
from selma_plugins.tifa.options import TifaOptions

WORDINGS: dict[str, tuple[str, str]] = {
    "upstream": (
        "Answer the multiple-choice question. Question: {question} Choices: {choices} Answer:",
        "Answer the question. Question: {question} Answer:",
    ),
    "selma": ("Question: {question} Options: {choices} Answer:", "Question: {question} Answer:"),
}
"""Protocol -> the wording with choices, the wording without."""

RULES: dict[str, tuple[str, str, str]] = {
    "upstream": ("official", "literal", "logprobs"),
    "selma": ("selma", "selma_literal", "selma_logprobs"),
}
"""Protocol -> names of its rules: nearest choice, literal choice, likeliest choice."""


def rules_of(options: TifaOptions) -> tuple[str, ...]:
    """The rules that answers asked for in this way can be scored with, the headline first.

    All are the mean over captions of the mean over questions; they differ in what counts as an answer.
    """
    nearest, literal, likeliest = RULES[options.protocol]
    if options.answers == "logprobs":
        return (likeliest,)
    return (nearest, literal) if options.outside == "nearest" else (literal,)


def is_literal(rule: str) -> bool:
    """Whether an answer that is none of the choices is wrong under a rule."""
    return any(rule == literal for _, literal, _ in RULES.values())


def request_of(item: ImageItem, question: Mapping[str, Any], options: TifaOptions) -> ChatRequest:
    """The image, then the question."""
    choices = tuple(question["choices"])
    text = WORDINGS[options.protocol][0 if options.show_choices else 1]
    text = text.replace("{choices}", ", ".join(choices)).replace("{question}", question["question"])
    return ChatRequest(
        messages=(Message.user(item.path, text),),
        max_tokens=1 if options.answers == "logprobs" else options.max_tokens,
        choices=choices if options.answers == "logprobs" else (),
    )

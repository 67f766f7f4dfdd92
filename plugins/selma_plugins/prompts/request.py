"""The text of a request for more prompts."""

from __future__ import annotations

from collections.abc import Sequence

from selma_plugins.prompts.skill import Skill


def with_rules(skill: Skill, demos: Sequence[str], ask: int) -> str:
    """Instructions, rules, and the examples as a numbered list."""
    rules = [
        *skill.rules,
        f"At most {skill.max_words} words each.",
        "Each one differs from all others in what it shows and in how it is worded.",
        "One per line, numbered, and nothing else.",
    ]
    lines = [f"Continue this list with {ask} more: {skill.description}.", "", "Rules:"]
    lines += [f"- {rule}" for rule in rules]
    return "\n".join([*lines, "", *_numbered(demos)])


def bare_list(skill: Skill, demos: Sequence[str], ask: int) -> str:
    """A heading and the examples as a numbered list: all that a small model needs, or can use."""
    return "\n".join([f"A list of {skill.description}:", "", *_numbered(demos)])


WORDINGS = {"rules": with_rules, "list": bare_list}


def _numbered(demos: Sequence[str]) -> list[str]:
    return [f"{i}. {demo}" for i, demo in enumerate(demos, 1)]

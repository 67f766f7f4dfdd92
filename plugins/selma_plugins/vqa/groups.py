"""The groups of a prompt that came from a benchmark."""

from __future__ import annotations

from selma_core.data import Prompt


def groups_of(prompt: Prompt) -> list[str]:
    """The benchmark's group in the prompt's `meta`, or none."""
    group = prompt.meta.get("group")
    return [group] if isinstance(group, str) and group else []

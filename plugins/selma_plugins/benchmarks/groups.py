"""The benchmark group of a prompt, from its id."""

from __future__ import annotations

from selma_core.data import Entry


def group_of(item_id: str, entry: Entry) -> str:
    """The group by the entry's `groups: {substring: name}`, first match wins; "" when none matches."""
    groups = entry.data.get("groups") or {}
    return next((str(name) for part, name in groups.items() if str(part) in item_id), "")

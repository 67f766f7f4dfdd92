"""A skill: what the registry entry says, checked."""

from __future__ import annotations

from typing import Any, NoReturn

import attrs

from selma_core.data import Entry
from selma_core.errors import ConfigError


@attrs.frozen(kw_only=True)
class Skill:
    """One skill.

    Attributes:
        name: of the entry. label: what its prompts are marked with (the entry's `skill`, else its name).
        description: "captions that ...". rules: sentences for the request. max_words: of a prompt.
        seeds: example prompts. flip: do mirrored images keep the meaning of its prompts?
    """

    name: str
    label: str
    description: str
    rules: tuple[str, ...]
    max_words: int
    seeds: tuple[str, ...]
    flip: bool = True

    def meta(self) -> dict[str, bool]:
        """What the skill's prompts carry for the stages after: `flip: false`, or nothing."""
        return {} if self.flip else {"flip": False}


def read_skill(entry: Entry, demos: int) -> Skill:
    """The skill of an entry that has at least `demos` seeds.

    Raises:
        ConfigError: a field is missing or of the wrong type.
    """
    label = entry.data.get("skill", entry.name)
    seeds = _texts(entry, "seeds")
    if len(seeds) < demos:
        raise ConfigError(f"skill '{entry.name}' has {len(seeds)} seeds; a request shows {demos} examples (demos)")
    return Skill(
        name=entry.name,
        label=label if isinstance(label, str) else _fail(entry, "skill", "a text"),
        description=_one(entry, "description", str, "a text"),
        rules=_texts(entry, "rules"),
        max_words=_one(entry, "max_words", int, "a whole number"),
        seeds=seeds,
        flip=_flip(entry),
    )


def _one(entry: Entry, field: str, kind: type[Any], wanted: str) -> Any:
    value = entry.data.get(field)
    return value if isinstance(value, kind) and not isinstance(value, bool) else _fail(entry, field, wanted)


def _flip(entry: Entry) -> bool:
    value = entry.data.get("flip", True)
    return value if isinstance(value, bool) else _fail(entry, "flip", "true or false")


def _texts(entry: Entry, field: str) -> tuple[str, ...]:
    value = entry.data.get(field)
    if isinstance(value, list) and all(isinstance(text, str) and text.strip() for text in value):
        return tuple(text.strip() for text in value)
    return _fail(entry, field, "a list of texts")


def _fail(entry: Entry, field: str, wanted: str) -> NoReturn:
    raise ConfigError(f"skill '{entry.name}' ({entry.provider}): '{field}' must be {wanted}")

"""What a run needs of this machine, asked for before its first stage: files of models, keys in the environment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from selma_core.config import bind_options
from selma_core.config.problems import config_error, raise_all
from selma_core.errors import ConfigError, UserError
from selma_core.options import Needing, Slot, info

if TYPE_CHECKING:
    from selma_core.graph.node import Node
    from selma_core.graph.plan import Planned
    from selma_core.session import Session


def check_needs(plan: Sequence[Planned], sessions: Iterable[Session]) -> None:
    """Checks what the stages need that have to run. Writes nothing, loads no model, imports no implementation.

    Args:
        plan: of all graphs of the sessions together; a stage that is in the store needs nothing.
        sessions: of the recipe, or of every variant of an ablation.

    Raises:
        ConfigErrors: every registry entry whose files are not here, with the command that fetches it, and whatever
            else the options say is missing (`Needing`); each with the path of its option.
        UserError: a launcher started several processes of this run; they would wait for one another for ever.
    """
    processes = os.environ.get("WORLD_SIZE", "1")
    if processes != "1" and os.environ.get("RANK"):
        raise UserError(
            f"this is one of {processes} processes of a launcher (accelerate, torchrun); each would run "
            "the whole recipe; start `selma run` once, without a launcher: it gives every GPU stages of its own"
        )
    todo = {row.node.fingerprint for row in plan if row.status in ("run", "suspect")}
    raise_all(
        error
        for session in sessions
        for node in session.graph
        if node.fingerprint in todo
        for error in _of(node, session)
    )


def _of(node: Node, session: Session) -> Iterator[ConfigError]:
    refined = node.id in session.recipe.data["stages"]
    path = f"stages.{node.id if refined else node.label}.options"
    for where, message in _needs(node.bound, path, session):
        # what to type comes last, so that it can be copied
        text, _, hint = message.partition("; ")
        yield config_error(where, text, session.recipe.origins, hint)


def _needs(bound: Any, path: str, session: Session) -> Iterator[tuple[str, str]]:
    """(path of the option, what is missing) of an instance of an options class and of all that it names."""
    if isinstance(bound, Needing) and callable(bound.needs):  # an option may be called `needs` too
        yield from ((f"{path}.{name}", line) for name, line in bound.needs())
    for field in attrs.fields(type(bound)):
        value, meta, where = getattr(bound, field.name), info(field), f"{path}.{field.name}"
        if meta.component is not None:
            for place, slot in _slots(value, where):
                yield from _component(meta.component, slot, place, session)
        elif meta.entry is not None:
            yield from ((where, line) for line in _absent(meta.entry, value, session))
        elif attrs.has(type(value)):
            yield from _needs(value, where, session)


def _slots(value: Any, path: str) -> Iterator[tuple[str, Slot]]:
    if isinstance(value, Mapping):
        yield from ((f"{path}.{name}", slot) for name, slot in value.items())
    elif isinstance(value, Slot):
        yield path, value


def _component(kind: str, slot: Slot, path: str, session: Session) -> Iterator[tuple[str, str]]:
    if not slot.use:
        return
    offer = session.catalog.find(kind, slot.use)
    where = f"{path}.options"
    bound = bind_options(
        offer, slot.options, path=where, origins={}, catalog=session.catalog, registry=session.registry
    )
    yield from _needs(bound, where, session)


def _absent(section: str, value: Any, session: Session) -> Iterator[str]:
    for name in value if isinstance(value, list | tuple) else [value]:
        if not name:
            continue
        try:
            session.registry.entry(section, str(name), need_files=True)
        except UserError as error:
            yield str(error)

"""Evaluators that only compute: built from what an artifact remembers of their options, to score stored observations.

`score` and `aggregate` are pure functions of observations and specs, so models, servers and keys are not needed.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

import attrs

from selma_core.artifacts.scores import ScoreTable
from selma_core.catalog import Catalog
from selma_core.config import schema
from selma_core.data import PromptScore, Summary
from selma_core.errors import UnknownNameError, UserError, did_you_mean
from selma_core.offers import Offer
from selma_core.options import FieldInfo, Slot, info
from selma_core.protocols import Evaluator
from selma_core.scoring import summarise

_MISSING = object()


def scoring_evaluator(offer: Offer, values: Mapping[str, Any], catalog: Catalog) -> Evaluator:
    """The evaluator of an offer, for `score` and `aggregate` alone.

    Args:
        values: option name -> value, as a manifest's `options` holds them; what is absent has its default. A component
            is known by name only, and a registry entry not at all: whatever a score depends on is in the specs.

    Raises:
        UserError: its options cannot be had from these values (it was stored by another version).
    """
    try:
        options = _options(offer.record.options, values)
    except (TypeError, ValueError) as error:
        reason = error.args[0] if error.args else error
        raise UserError(f"evaluator '{offer.qualified}' cannot be built from the stored options: {reason}") from error
    built: Evaluator = catalog.build(offer, options)
    return built


def rescore(evaluator: Evaluator, table: ScoreTable, rule: str | None) -> Summary:
    """The metric under a rule, default the one that the observations were stored with.

    Raises:
        UnknownNameError: the metric has no such rule; names the nearest.
    """
    wanted = rule or table.info.rules[0]
    if wanted not in evaluator.info.rules:
        raise UnknownNameError(
            f"metric '{table.info.name}' has no rule '{wanted}'; {did_you_mean(wanted, evaluator.info.rules)}"
        )
    return summarise(evaluator, table, wanted)


def with_zeros(summary: Summary) -> Summary:
    """The summary with every unanswered prompt as 0, as released scripts count them: means and groups.

    Where questions count alike (`PromptScore.weight` is their number) an unanswered prompt has none, so the mean stays.
    Groups are always means over their prompts.
    """
    prompts = summary.prompts
    weight = sum(prompt.weight for prompt in prompts)
    total = sum(prompt.weight * (prompt.value or 0.0) for prompt in prompts)
    groups: dict[str, list[PromptScore]] = {}
    for prompt in prompts:
        for name in prompt.groups:
            groups.setdefault(name, []).append(prompt)
    return attrs.evolve(
        summary,
        mean=summary.scale * total / weight if weight and summary.mean is not None else None,
        groups={
            name: summary.scale * sum(member.value or 0.0 for member in members) / len(members)
            for name, members in groups.items()
        },
    )


def unanswered(summary: Summary) -> list[str]:
    """The prompts of which nothing was observed."""
    return [prompt.prompt_id for prompt in summary.prompts if prompt.value is None]


def _options(cls: type, values: Mapping[str, Any]) -> Any:
    hints = schema.field_types(cls)
    found: dict[str, Any] = {}
    for field in attrs.fields(cls):
        value = _value(info(field), hints[field.name], values.get(field.name, _MISSING), field)
        if field.init and value is not _MISSING:
            found[field.alias or field.name] = value
    return cls(**found)


def _value(meta: FieldInfo, hint: Any, stored: Any, field: attrs.Attribute[Any]) -> Any:
    required = field.default is attrs.NOTHING
    if meta.component is not None:
        return _component(hint, stored, required)
    if meta.entry is not None:  # a manifest has its pin, not its name
        return stored if isinstance(stored, str) else "" if required else _MISSING
    nested = schema.nested_class(hint)
    if nested is not None and isinstance(stored, Mapping):
        return _options(nested, stored)
    if isinstance(stored, list) and typing.get_origin(schema.without_none(hint)) is tuple:
        return tuple(stored)
    return stored


def _component(hint: Any, stored: Any, required: bool) -> Any:
    if schema.is_slot_mapping(hint):
        return {name: _slot(one) for name, one in stored.items()} if isinstance(stored, Mapping) else _MISSING
    if isinstance(stored, Mapping):
        return _slot(stored)
    return Slot() if required else _MISSING


def _slot(stored: Any) -> Slot:
    return Slot(str(stored["plugin"]) if isinstance(stored, Mapping) and "plugin" in stored else "")

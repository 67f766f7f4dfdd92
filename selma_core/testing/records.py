"""Checks of what a plugin yields: its records and options classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

from selma_core.catalog import Catalog
from selma_core.errors import MissingExtraError, PluginError
from selma_core.kinds import KINDS
from selma_core.offers import Offer, reader_of, reward_of
from selma_core.options import info
from selma_core.records import EvaluatorRecord, NoOptions, Record
from selma_core.testing.require import ConformanceError, require

_SAMPLE_LENGTH = 100


def check_record(record: Record) -> None:
    """Checks one record: summary, revision, options that bind, with a help text each, and defaults that are allowed.

    Raises:
        ConformanceError: saying what to change.
    """
    title = f"{type(record).__name__} '{record.name}'"
    known = tuple(kind.record for kind in KINDS)
    require(isinstance(record, known), f"{title}: is no record of a known kind")
    one_line = bool(record.summary.strip()) and "\n" not in record.summary
    require(
        one_line and len(record.summary) <= _SAMPLE_LENGTH, f"{title}: summary must be one line of 1-100 characters"
    )
    require(isinstance(record.revision, int) and record.revision >= 1, f"{title}: revision counts from 1")
    if record.options is not NoOptions:
        _check_options(title, record.options)


def check_offer(catalog: Catalog, offer: Offer) -> None:
    """`check_record`, and that the factory, an evaluator's reward and its reader of answers can be imported.

    A missing extra is no fault of the plugin.

    Raises:
        ConformanceError: saying what to change.
    """
    check_record(offer.record)
    try:
        catalog.load(offer)
        if isinstance(offer.record, EvaluatorRecord) and offer.record.reward is not None:
            catalog.load(reward_of(offer, ()))
        if isinstance(offer.record, EvaluatorRecord) and offer.record.reader is not None:
            catalog.load(reader_of(offer))
    except MissingExtraError:
        return
    except PluginError as error:
        raise ConformanceError(str(error)) from error


def check_plugin(provider: str, *, files: tuple[Path, ...] = ()) -> list[Offer]:
    """Checks everything that a distribution (or one of `files`) offers, and returns it (nothing for hooks and data).

    Raises:
        ConformanceError: it is quarantined or not there, or one of its offers is at fault.
    """
    catalog = Catalog.discover(files)
    for problem in catalog.problems:
        require(problem.provider != provider, f"{problem.line}\n{problem.trace}")
    found = provider in catalog.providers
    require(found, f"no plugin of '{provider}' was found; is it installed, with an entry point of group 'selma'?")
    offers = [offer for offer in catalog.offers() if offer.provider == provider]
    for offer in offers:
        check_offer(catalog, offer)
    return offers


def _check_options(title: str, cls: type) -> None:
    from selma_core.config.schema import check_options_class

    try:
        check_options_class(cls)
    except PluginError as error:
        raise ConformanceError(f"{title}: {error}") from error
    for field in attrs.fields(cls):
        where = f"{title}: option '{field.name}'"
        require(bool(info(field).help.strip()), f"{where} needs a help text: option(..., help='one line')")
        _check_default(where, field)


def _check_default(where: str, field: attrs.Attribute[Any]) -> None:
    default: Any = field.default
    if default is attrs.NOTHING or field.validator is None:
        return
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        default = default.factory()
    try:
        field.validator(None, field, default)
    except ValueError as error:
        raise ConformanceError(f"{where}: its default is refused by its own check: {error}") from error
    except AttributeError:  # it looks at other fields
        return

"""An ablation with its recipe resolved under every variant and seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import attrs

from selma_core.ablation.load import load_ablation
from selma_core.ablation.spec import UNNAMED, Ablation
from selma_core.catalog import Catalog
from selma_core.collect import score_nodes, variant_of
from selma_core.comparisons import members
from selma_core.errors import ConfigError, UnknownNameError, UserError, did_you_mean
from selma_core.graph.plan import Planned, make_plan, union
from selma_core.registry import Registry
from selma_core.session import Session, open_session


@attrs.frozen
class Place:
    """Where a row is measured. Attributes: session = its name; variant = of the recipe."""

    session: str
    variant: str


@attrs.frozen
class OpenAblation:
    """An ablation, ready to be planned or run.

    Attributes:
        sessions: name -> recipe under one variant and seed; the nodes' ids begin with it.
        rows: row of the table -> seed ("" for the recipe's own) -> where it is measured.
        plan: of all sessions together, one seed after the other.
    """

    ablation: Ablation
    sessions: Mapping[str, Session]
    rows: Mapping[str, Mapping[str, Place]]
    plan: tuple[Planned, ...]

    @property
    def first(self) -> Session:
        """The session whose executor runs all of them."""
        return next(iter(self.sessions.values()))

    @property
    def report(self) -> Mapping[str, Any]:
        """The recipe's `report` section."""
        report: Mapping[str, Any] = self.first.recipe.data["report"]
        return report

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """What is compared where no baseline is named: of the recipe as it is, the pairs of its report."""
        if self.ablation.baseline or UNNAMED not in self.ablation.variants:
            return ()
        names = list(self.rows)
        pairs = [(str(pair[0]), str(pair[1])) for pair in self.report.get("compare") or ()]
        return tuple(pair for pair in pairs if all(_stands_for_some(name, names) for name in pair))

    @property
    def baseline(self) -> str:
        """The row that the others are compared with."""
        own = str(self.report.get("baseline") or "") if UNNAMED in self.ablation.variants else ""
        return self.ablation.baseline or (own if own in self.rows else next(iter(self.rows)))


def open_ablation(
    name_or_path: str | Path,
    overrides: Sequence[str] = (),
    *,
    store: Path | None = None,
    plugins: Sequence[Path] = (),
    seeds: tuple[int, ...] = (),
) -> OpenAblation:
    """Resolves an ablation; nothing runs.

    Args:
        seeds: in place of those of the file.
    """
    registry = Registry(Catalog.discover(plugins).registry_sources())
    ablation = load_ablation(name_or_path, registry)
    if seeds:
        ablation = attrs.evolve(ablation, seeds=seeds)
    return open_variants(ablation, overrides, store=store, plugins=plugins)


def open_variants(
    ablation: Ablation, overrides: Sequence[str] = (), *, store: Path | None = None, plugins: Sequence[Path] = ()
) -> OpenAblation:
    """Resolves the variants of an ablation under each of its seeds; nothing runs.

    Raises:
        UserError: a recipe is wrong under a variant; the ablation names a variant or row that is not there.
    """
    if ablation.seeds and any(text.partition("=")[0].strip() == "seed" for text in overrides):
        raise ConfigError("-o seed=...: the ablation has several seeds; type --seeds to choose them")
    sessions: dict[str, Session] = {}
    rows: dict[str, dict[str, Place]] = {}
    for seed in ablation.seeds or (None,):
        for variant, changes in ablation.variants.items():
            layer = changes if seed is None else {**changes, "seed": seed}
            session = open_session(ablation.recipe, overrides, store=store, plugins=plugins, variant=layer)
            name = session_name(ablation, session, variant, seed)
            found = _rows(ablation, session, variant, name)
            sessions[name] = _needed(session, {place.variant for place in found.values()})
            for row, place in found.items():
                rows.setdefault(row, {})["" if seed is None else str(seed)] = place
    graphs = {name: session.graph for name, session in sessions.items()}
    plan = make_plan(union(graphs), next(iter(sessions.values())).store)
    opened = OpenAblation(ablation, sessions, rows, plan)
    _check_rows(opened)
    return opened


def session_name(ablation: Ablation, session: Session, variant: str, seed: int | None) -> str:
    """`ties`, `ties,seed=1`, `seed=1`; a recipe as it is and of one seed goes by its own name."""
    parts = [variant] if variant != UNNAMED else []
    if seed is not None:
        parts.append(f"seed={seed}")
    return ",".join(parts) or session.recipe.name


def _rows(ablation: Ablation, session: Session, variant: str, name: str) -> dict[str, Place]:
    """The rows that a session measures: named by the variant, by those of the recipe, or by both."""
    measured = _measured(ablation, session)
    if variant == UNNAMED:
        return {own: Place(name, own) for own in measured}
    if len(measured) == 1:
        return {variant: Place(name, measured[0])}
    return {f"{variant}/{own}": Place(name, own) for own in measured}


def _needed(session: Session, measured: Set[str]) -> Session:
    """The session with only what the scores of the measured variants read: nothing else is in the table or report."""
    scores = score_nodes(session.graph, session.recipe.data["report"])
    wanted = [node.id for node in scores if variant_of(node) in measured]
    return attrs.evolve(session, graph=session.graph.until(wanted))


def _measured(ablation: Ablation, session: Session) -> tuple[str, ...]:
    """The variants of the recipe whose scores count.

    Raises:
        UserError: the ablation names one that the recipe lacks, or the recipe has no scores.
    """
    report = session.recipe.data["report"]
    variants = list(dict.fromkeys(variant_of(node) for node in score_nodes(session.graph, report)))
    if not variants:
        raise UserError(f"ablation '{ablation.name}': recipe '{session.recipe.name}' has no evaluator, so no scores")
    for wanted in ablation.measured:
        if wanted not in variants:
            hint = did_you_mean(wanted, variants)
            raise UserError(f"ablation '{ablation.name}': the recipe has no variant '{wanted}'; {hint}")
    if ablation.measured:
        return ablation.measured
    if UNNAMED in ablation.variants:
        return tuple(variants)
    return ("merged",) if "merged" in variants else (variants[-1],)


def _check_rows(opened: OpenAblation) -> None:
    ablation, names = opened.ablation, list(opened.rows)
    where = f"ablation '{ablation.name}'"
    if ablation.baseline and ablation.baseline not in names:
        hint = did_you_mean(ablation.baseline, names)
        raise ConfigError(f"{where}: baseline: no row '{ablation.baseline}' (no such variant); {hint}")
    for claim in ablation.claims:
        for name in (claim.better, *claim.than):
            try:
                members(name, names)
            except UnknownNameError as error:
                raise ConfigError(f"{where}: claim '{claim.text}': {error}") from error


def _stands_for_some(name: str, names: Sequence[str]) -> bool:
    try:
        return bool(members(name, names))
    except UnknownNameError:
        return False

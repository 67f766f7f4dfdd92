"""Ablations: one recipe in several variants. What the variants share is made once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from selma_core.catalog import Catalog
from selma_core.collect import Summaries, score_nodes, summaries_of, variant_of
from selma_core.config.overrides import parse_override
from selma_core.engine import plan_json
from selma_core.errors import ConfigError, UserError, did_you_mean
from selma_core.events import Event, RunFinished, RunStarted
from selma_core.graph.plan import Planned, make_plan, union
from selma_core.observers import Observers
from selma_core.partial import PartialScores
from selma_core.preflight import check_needs
from selma_core.record import RunRecord
from selma_core.registry import Registry
from selma_core.result import NodeResult
from selma_core.scoring import comparisons, score_entry
from selma_core.session import Session, open_session
from selma_core.variations import Vary, variants_of
from selma_core.walk import new_run_id, node_results, walk
from selma_core.yaml_files import read_yaml

_KEYS = (
    *("summary", "recipe", "variants", "vary", "grid"),
    *("metric", "baseline", "variant", "notes", "reference", "license"),
)


@attrs.frozen(kw_only=True)
class Ablation:
    """An ablation as written.

    Attributes:
        name: of the registry entry, or the file's stem.
        recipe: registry name or file. variants: name -> dotted path -> value.
        metric: what is compared; "" = the recipe's `report.headline`, else its first metric.
        baseline: the variant that the others are compared with; "" = the first.
        measured: the variant OF THE RECIPE whose scores count; "" = `merged`, else the last.
    """

    name: str
    recipe: str | Path
    variants: Mapping[str, Mapping[str, Any]]
    metric: str = ""
    baseline: str = ""
    measured: str = ""


@attrs.frozen(kw_only=True)
class AblationRun:
    """A finished ablation. Attributes: nodes = `variant:id`; result = the JSON of `selma ablate --json`."""

    run_id: str
    ablation: Ablation
    nodes: tuple[NodeResult, ...]
    result: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        """Whether every stage is done."""
        return all(node.outcome != "failed" for node in self.nodes)


@attrs.frozen
class OpenAblation:
    """An ablation with one opened recipe per variant, and the plan of their union."""

    ablation: Ablation
    sessions: Mapping[str, Session]
    plan: tuple[Planned, ...]

    @property
    def first(self) -> Session:
        """The session whose executor runs all variants."""
        return next(iter(self.sessions.values()))


def ablate(
    name_or_path: str | Path,
    overrides: Sequence[str] = (),
    *,
    store: Path | None = None,
    plugins: Sequence[Path] = (),
    on_event: Callable[[Event], None] | None = None,
) -> AblationRun:
    """Runs all variants of an ablation as one graph and compares them.

    Args:
        name_or_path: registry name or YAML file {summary, recipe, variants, metric, baseline, variant}.
        overrides: laid over every variant. store, plugins, on_event: as in `run`.

    Raises:
        UserError: the ablation or a recipe is wrong, or a model is not on this machine; nothing ran.
    """
    return run_ablation(open_ablation(name_or_path, overrides, store=store, plugins=plugins), on_event)


def open_ablation(
    name_or_path: str | Path,
    overrides: Sequence[str] = (),
    *,
    store: Path | None = None,
    plugins: Sequence[Path] = (),
) -> OpenAblation:
    """Resolves an ablation; nothing runs."""
    registry = Registry(Catalog.discover(plugins).registry_sources())
    return open_variants(load_ablation(name_or_path, registry), overrides, store=store, plugins=plugins)


def vary(recipe: str | Path, settings: Vary, grid: str = "full") -> Ablation:
    """The ablation that runs a recipe with its settings varied; the first variant is the baseline.

    Args:
        settings: dotted path -> the values it takes. grid: `full` or `one` at a time.

    Raises:
        ConfigError: see `selma_core.variations.variants_of`.
    """
    variants = variants_of(settings, grid)
    return Ablation(name=Path(recipe).stem, recipe=recipe, variants=variants, baseline=next(iter(variants)))


def open_variants(
    ablation: Ablation, overrides: Sequence[str] = (), *, store: Path | None = None, plugins: Sequence[Path] = ()
) -> OpenAblation:
    """Resolves the variants of an ablation; nothing runs.

    Raises:
        UserError: a recipe is wrong under a variant.
    """
    sessions = {
        name: open_session(ablation.recipe, overrides, store=store, plugins=plugins, variant=changes)
        for name, changes in ablation.variants.items()
    }
    for session in sessions.values():
        _measured(ablation, session)
    graphs = {name: session.graph for name, session in sessions.items()}
    plan = make_plan(union(graphs), next(iter(sessions.values())).store)
    return OpenAblation(ablation, sessions, plan)


def load_ablation(name_or_path: str | Path, registry: Registry) -> Ablation:
    """Reads and checks an ablation.

    Raises:
        UserError: an unknown name, an unreadable file, a wrong key; the message names the file.
    """
    text = str(name_or_path)
    is_file = isinstance(name_or_path, Path) or text.endswith((".yaml", ".yml"))
    file = Path(text) if is_file else registry.find("ablations", text).file
    data = read_yaml(file).data
    for key in data:
        if key not in _KEYS:
            raise ConfigError(f"{file}: unknown key '{key}'; {did_you_mean(str(key), _KEYS)}")
    recipe = data.get("recipe")
    if not isinstance(recipe, str):
        raise ConfigError(f"{file}: needs 'recipe', the name or file of a recipe")
    changes = _variants(file, data)
    baseline = str(data.get("baseline") or next(iter(changes)))
    if baseline not in changes:
        raise ConfigError(f"{file}: baseline: no variant '{baseline}'; {did_you_mean(baseline, changes)}")
    return Ablation(
        name=file.stem,
        recipe=file.parent / recipe if recipe.endswith((".yaml", ".yml")) else recipe,
        variants=changes,
        metric=str(data.get("metric") or ""),
        baseline=baseline,
        measured=str(data.get("variant") or ""),
    )


def run_ablation(opened: OpenAblation, on_event: Callable[[Event], None] | None = None) -> AblationRun:
    """Runs an opened ablation; see `ablate`."""
    ablation, session = opened.ablation, opened.first
    check_needs(opened.plan, opened.sessions.values())
    store, run_id = session.store, new_run_id(ablation.name)
    trackers = session.runtime.build_trackers(session.catalog, session.registry)
    observers = Observers(session.catalog, trackers, on_event)
    emit = PartialScores(opened.sessions, observers, lambda each: _measured(ablation, each))
    head: dict[str, Any] = {"run": run_id, "ablation": ablation.name, "recipe": session.recipe.name}
    record = RunRecord(store, run_id, {"config": {name: one.recipe.data for name, one in opened.sessions.items()}})
    with store.lock(run_id):
        record.write("running", {**head, "stages": plan_json(opened.plan)})
        statuses = {row.id: row.status for row in opened.plan}
        emit(RunStarted(run_id=run_id, recipe=ablation.name, nodes=statuses, config=session.recipe.data))
        try:
            nodes = node_results(opened.plan, walk(opened.plan, session, run_id, emit), store)
            result = {**head, **_result(opened, nodes), "seconds": record.seconds}
        except BaseException:
            record.write("interrupted")
            raise
        finished = AblationRun(run_id=run_id, ablation=ablation, nodes=nodes, result=result)
        record.write("done" if finished.ok else "failed", result)
        emit(RunFinished(run_id=run_id, result=result))
    store.lock_file(run_id).unlink(missing_ok=True)
    return finished


def _variants(file: Path, data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Those of `variants` by their names, then those of `vary`."""
    named, varied = data.get("variants") or {}, data.get("vary") or {}
    if not isinstance(named, Mapping) or not isinstance(varied, Mapping) or not (named or varied):
        raise ConfigError(
            f"{file}: needs 'variants', a mapping of name to overrides, or 'vary', one of setting to values"
        )
    found = {str(name): _changes(file, str(name), value) for name, value in named.items()}
    for path, values in varied.items():
        if not isinstance(values, list):
            raise ConfigError(f"{file}: vary.{path}: must be a list of values")
    try:
        more = variants_of(varied, str(data.get("grid") or "full")) if varied else {}
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
    for name in more:
        if name in found:
            raise ConfigError(f"{file}: the variant '{name}' is in 'variants' and comes out of 'vary' too")
    return {**found, **more}


def _changes(file: Path, name: str, value: Any) -> dict[str, Any]:
    """The layer of a variant: `[a.b=1, c=2]` as on the command line, or a mapping."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        return {".".join(keys): found for keys, found in map(parse_override, value)}
    raise ConfigError(f"{file}: variants.{name}: must be a list of overrides (a.b=value) or a mapping")


def _result(opened: OpenAblation, nodes: tuple[NodeResult, ...]) -> dict[str, Any]:
    ablation = opened.ablation
    measured: Summaries = {}
    for name, session in opened.sessions.items():
        mine = {node.id.removeprefix(f"{name}:"): node for node in nodes if node.id.startswith(f"{name}:")}
        found = summaries_of(session, mine)
        wanted = _measured(ablation, session)
        if wanted in found:  # else its stage failed
            measured[name] = found[wanted]
    metric = ablation.metric or _headline(opened, measured)
    seed = opened.first.graph.seed
    for name, metrics in measured.items():
        if metric not in metrics:
            raise UserError(
                f"ablation '{ablation.name}': {name} has no metric '{metric}'; {did_you_mean(metric, metrics)}"
            )
    return {
        "metric": metric,
        "baseline": ablation.baseline,
        "stages": [node.to_json() for node in nodes],
        "scores": {name: {metric: score_entry(metrics[metric], seed)} for name, metrics in measured.items()},
        "comparisons": comparisons(measured, baseline=ablation.baseline, seed=seed, metrics=[metric]),
    }


def _measured(ablation: Ablation, session: Session) -> str:
    """The variant of the recipe whose scores count.

    Raises:
        UserError: the ablation names one that the recipe lacks.
    """
    variants = [variant_of(node) for node in score_nodes(session.graph, session.recipe.data["report"])]
    wanted = ablation.measured
    if not variants:
        raise UserError(f"ablation '{ablation.name}': recipe '{session.recipe.name}' has no evaluator, so no scores")
    if wanted and wanted not in variants:
        hint = did_you_mean(wanted, variants)
        raise UserError(f"ablation '{ablation.name}': the recipe has no variant '{wanted}'; {hint}")
    return wanted or ("merged" if "merged" in variants else variants[-1])


def _headline(opened: OpenAblation, measured: Summaries) -> str:
    named = opened.first.recipe.data["report"].get("headline")
    first = next((metric for metrics in measured.values() for metric in metrics), "")
    return str(named or first)

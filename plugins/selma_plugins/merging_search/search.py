"""`search`: the weights of another strategy, fitted on held-out prompts by a gradient-free search.

It maximises score(w) - penalty * mean|w| over w in [low, high]^T, LoraHub's objective (arXiv 2307.13269) with any
evaluator in place of a loss. CMA-ES (the library `cma`) proposes generations of candidates from the mean outwards;
each generation is raced (`racing`). The plain mean runs along, so the result is never worse than it on these prompts.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

from selma_core.errors import UserError
from selma_core.merging.options import MergeOptions
from selma_core.protocols import Dense, Factors, FitJob, Fitted, LayerJob, MergeStrategy, Surveyor
from selma_core.seeds import derive_seed
from selma_plugins.merging_search.arena import Arena
from selma_plugins.merging_search.options import SearchOptions
from selma_plugins.merging_search.racing import Lap, Weights, race, sizes

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it says at import that it cannot plot without matplotlib
    import cma


class Search:
    """`selma_core.protocols.WeightFitter`: a strategy whose weights come from `fit`."""

    def __init__(self, options: SearchOptions) -> None:
        self._options = options
        self._inner: MergeStrategy | None = None
        self.options: Any = None  # those of the inner strategy, for the driver

    def weights(self, count: int, base: str) -> tuple[float, ...]:
        """Only `fit` knows them.

        Raises:
            UserError: always.
        """
        raise UserError("search finds its weights in a run: it needs prompts, a generator and an evaluator")

    def merge_layer(self, job: LayerJob) -> Factors | Dense | None:
        """As the inner strategy."""
        if self._inner is None:
            raise UserError("search: call fit before merging")
        return self._inner.merge_layer(job)

    def survey(self, layers: Callable[[], Iterable[LayerJob]]) -> None:
        """As the inner strategy, if it asks for that."""
        inner: object = self._inner
        if isinstance(inner, Surveyor):
            inner.survey(layers)

    def fit(self, job: FitJob) -> Fitted:
        """Searches.

        Raises:
            UserError: a slot is empty, or the evaluator's score is better when lower.
        """
        o = self._options
        for name in ("prompts", "generator", "evaluator"):
            if not getattr(o, name).use:
                raise UserError(f"search needs the option '{name}': type -o stages.NAME.options.{name}.use=...")
        self._inner = job.context.component("merge_strategy", o.inner)
        options = getattr(self._inner, "options", None)
        self.options = options if isinstance(options, MergeOptions) else None
        arena = Arena(o, job, self._inner)
        steps, count = sizes(arena.total, o.rungs), len(job.files)
        mean = (1.0 / count,) * count
        laps = [Lap(mean, arena.total, arena.measure(mean, arena.total))]
        strategy = self._optimizer(mean, job.context.seed)
        for generation in range(o.generations):
            candidates = [tuple(round(float(x), 4) for x in each) for each in strategy.ask()]
            costs, more = race(candidates, arena.measure, steps)
            strategy.tell(candidates, costs)
            laps += more
            job.context.progress(generation + 1, o.generations, f"best {_best(laps, arena.total).value:.3f}")
        best = _best(laps, arena.total)
        whole = arena.total * (1 + o.generations * o.population)
        record = {
            "prompts": arena.total,
            "images_drawn": arena.drawn,
            "images_without_racing": whole,
            "mean_value": laps[0].value,
            "best_value": best.value,
        }
        return Fitted(weights=best.weights, trace=_trace(laps, arena.total), record={"search": record})

    def _optimizer(self, mean: Weights, seed: int) -> Any:
        o = self._options
        # CMA's own seed 0 means "by the clock".
        settings = {
            "bounds": [o.low, o.high],
            "popsize": o.population,
            "seed": 1 + derive_seed("search", seed) % (2**31 - 2),
            "verbose": -9,
        }
        return cma.CMAEvolutionStrategy(list(mean), o.sigma, settings)


def _best(laps: list[Lap], total: int) -> Lap:
    """The best over all prompts; the earliest of equals."""
    return max((lap for lap in laps if lap.prompts == total), key=lambda lap: lap.value)


def _trace(laps: list[Lap], total: int) -> tuple[dict[str, float], ...]:
    """One row per measurement: step, prompts, value, the best over all prompts so far, and the weights."""
    rows: list[dict[str, float]] = []
    best = float("-inf")
    for step, lap in enumerate(laps, 1):
        if lap.prompts == total:
            best = max(best, lap.value)
        weights = {f"w{i}": w for i, w in enumerate(lap.weights)}
        rows.append({"step": step, "prompts": lap.prompts, "value": lap.value, "best": best, **weights})
    return tuple(rows)

"""The strategies that the claims are checked on: every registered one, and options that change what it claims."""

from __future__ import annotations

import importlib
from typing import Any

import attrs
from selma_plugins.merging import claims
from selma_plugins.merging.plugin import selma_merge_strategies

from selma_core.protocols import MergeStrategy

RECORDS = {record.name: record for record in selma_merge_strategies()}
NEEDED: dict[str, dict[str, Any]] = {"selma_released": {"model_id": "CompVis/stable-diffusion-v1-4"}}


@attrs.frozen
class Case:
    """Attributes: claims = what it must have; all others it must lack. two = it merges exactly two experts.
    equal = its weights must be equal. cuts = CONTRACT holds where r_i <= min(m, n) / T only."""

    name: str
    strategy: MergeStrategy
    claims: frozenset[str]
    two: bool = False
    equal: bool = False
    cuts: bool = False

    def __str__(self) -> str:
        return self.name


def build(record: str, **options: Any) -> Any:
    """The strategy of a record with these options."""
    found = RECORDS[record]
    module, _, attribute = found.factory.partition(":")
    return getattr(importlib.import_module(module), attribute)(found.options(**{**NEEDED.get(record, {}), **options}))


def _case(
    record: str, *, plus: frozenset[str] = frozenset(), minus: frozenset[str] = frozenset(), **options: Any
) -> Case:
    strategy = build(record, **options)
    given = ", ".join(f"{name}={value}" for name, value in options.items())
    return Case(
        name=f"{record}({given})" if given else record,
        strategy=strategy,
        claims=(strategy.claims | plus) - minus,
        two=record == "slerp",
        equal=options.get("variant") in ("paper", "sd-mecha"),
        cuts=record == "tsv",
    )


CONTRACT, EXACT, LINEAR = claims.CONTRACT, claims.EXACT, claims.LINEAR_IN_WEIGHTS
INDEPENDENT = frozenset({claims.INDEPENDENCE})
NOT_TIES = (LINEAR - {claims.ODDNESS}) | {claims.EXPECTATION}

DEFAULTS = [_case(name) for name in RECORDS]
VARIED = [
    _case("linear", rank=12),
    _case("linear", scale=2.0, minus=CONTRACT | {claims.EQUALS_LINEAR, claims.EXPECTATION, claims.OPTIMALITY}),
    _case("svd", k=12, plus=EXACT),
    _case("svd", k=2, plus=INDEPENDENT, minus=CONTRACT),
    _case("svd", route="qr"),
    _case("svd", route="gram_core"),
    _case("svd", route="thin"),
    _case("svd", route="gram"),
    _case("svd", cache_mb=1),
    *(_case("svd", by=by, k=k, plus=INDEPENDENT, minus=CONTRACT) for by, k in (("sv_fro", 0.9), ("sv_ratio", 2.0))),
    _case("svd", by="sv_cumulative", k=0.7, plus=INDEPENDENT, minus=CONTRACT),
    _case("ties", density=1.0, plus=CONTRACT),
    _case("ties", density=1.0, max_bytes=0, plus=CONTRACT),
    *(
        _case("ties", density=1.0, variant="peft", vote=vote, plus=LINEAR | {claims.IDENTITY}, minus=INDEPENDENT)
        for vote in ("total", "frequency")
    ),
    *(
        _case("ties", density=1.0, variant=name, plus=CONTRACT | LINEAR, minus=INDEPENDENT)
        for name in ("paper", "sd-mecha")
    ),
    _case("magnitude", density=1.0, plus=EXACT),
    _case("magnitude", inner="ties", minus=NOT_TIES),
    _case("breadcrumbs", density=1.0, gamma=0.0, plus=EXACT),
    _case("breadcrumbs", inner="ties", gamma=0.1, minus=NOT_TIES),
    _case("dare", density=1.0, plus=EXACT),
    _case("dare", inner="ties", minus=NOT_TIES),
    _case("dare", inner="ties", density=1.0, plus=CONTRACT, minus=NOT_TIES),
    _case("della", inner="ties", minus=NOT_TIES),
    *(_case(name, rescale="l1", minus=frozenset({claims.EXPECTATION})) for name in ("dare", "della")),
    _case("knots", inner="linear", plus=EXACT),
    _case("knots", inner="ties", density=1.0, plus=CONTRACT),
    *(_case("knots", inner=name, plus=LINEAR) for name in ("magnitude", "breadcrumbs")),
    *(_case("knots", inner=name, plus=LINEAR | {claims.EXPECTATION}) for name in ("dare", "della")),
    *(_case("knots", inner=f"{name}_ties") for name in ("breadcrumbs", "dare", "della")),
    _case("core", inner="linear", plus=EXACT),
    _case("core", inner="ties", density=1.0, plus=CONTRACT),
    _case("core", inner="dare", plus=LINEAR | {claims.EXPECTATION}),
    _case("core", basis="factors", minus=frozenset({claims.GAUGE_INVARIANCE})),
    _case("iso_c", denominator="full"),
]
CASES = DEFAULTS + VARIED

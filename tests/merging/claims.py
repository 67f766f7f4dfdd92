"""Each claim as a check: does it hold for a case on drawn experts?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import attrs
import torch
from selma_plugins.merging import claims

from selma_core.errors import UserError
from selma_core.merging.layer import merge_layer
from selma_core.protocols import Factors, LayerJob, MergeStrategy
from tests.merging.cases import Case

LAYER = "unet.mid_block.attentions.0.to_q"
TOLERANCE = 1e-5
SEEDS = 200


@attrs.frozen
class Draw:
    """A random set of experts: seed, shape (m, n), rank of each."""

    seed: int
    shape: tuple[int, int] = (15, 12)
    ranks: tuple[int, ...] = (2, 1, 3)

    def fit(self, case: Case) -> Draw:
        """With as many experts as the case can merge."""
        return attrs.evolve(self, ranks=(self.ranks * 2)[:2]) if case.two else self

    def stream(self, *, offset: int = 0) -> torch.Generator:
        """Random numbers of this draw."""
        return torch.Generator().manual_seed(self.seed + offset)

    def experts(self, dtype: torch.dtype = torch.float32) -> list[Factors]:
        """Gaussian factors. float64 where rounding may turn a vote or pass a threshold: the claim is on the formula."""
        stream, (rows, columns) = self.stream(), self.shape
        drawn = [
            (torch.randn(rows, r, generator=stream), torch.randn(r, columns, generator=stream)) for r in self.ranks
        ]
        return [Factors(up=up.to(dtype), down=down.to(dtype)) for up, down in drawn]

    def weights(self, case: Case, *, offset: int = 1, positive: bool = False) -> list[float]:
        """Of any sign, or above zero; equal ones where the case needs that."""
        drawn = torch.rand(len(self.ranks), generator=self.stream(offset=offset)) * 2 + (0.1 if positive else -1)
        return [float(drawn[0])] * len(drawn) if case.equal else drawn.tolist()


def job(experts: Sequence[Factors | None], weights: Sequence[float], ids: str = "", seed: int = 0) -> LayerJob:
    """A layer; the experts' ids are letters."""
    letters = tuple(ids or "abcdefgh"[: len(experts)])
    return LayerJob(name=LAYER, experts=tuple(experts), weights=tuple(weights), expert_ids=letters, seed=seed)


def merged(strategy: MergeStrategy, layer: LayerJob) -> torch.Tensor:
    """The merged delta in float64, by way of the driver."""
    found = merge_layer(strategy, layer)
    if found is None:
        part = next(part for part in layer.experts if part is not None)
        return torch.zeros(part.up.shape[0], part.down.shape[1], dtype=torch.float64)
    return found.factors.up.double() @ found.factors.down.double()


def delta(part: Factors) -> torch.Tensor:
    """B A in float64."""
    return part.up.double() @ part.down.double()


def total(experts: Sequence[Factors], weights: Sequence[float]) -> torch.Tensor:
    """sum w_i D_i in float64."""
    return torch.stack([w * delta(part) for w, part in zip(weights, experts, strict=True)]).sum(0)


def close(a: torch.Tensor, b: torch.Tensor, experts: Sequence[Factors], weights: Sequence[float]) -> bool:
    """Equal within 1e-5 of the size of what was merged."""
    size = sum(abs(w) * float(delta(part).norm()) for w, part in zip(weights, experts, strict=True))
    return float((a - b).norm()) <= TOLERANCE * max(size, float(b.norm()))


def _identity(case: Case, draw: Draw) -> bool:
    one = attrs.evolve(draw, ranks=draw.ranks[:1]).experts()
    return close(merged(case.strategy, job(one, case.strategy.weights(1, ""))), delta(one[0]), one, [1.0])


def _idempotence(case: Case, draw: Draw) -> bool:
    count = len(draw.ranks)
    if case.cuts and draw.ranks[0] > min(draw.shape) // count:
        return True
    copies = attrs.evolve(draw, ranks=draw.ranks[:1]).experts() * count
    free = draw.weights(case, positive=True)
    some = [case.strategy.weights(count, ""), [w / sum(free) for w in free]]
    return all(close(merged(case.strategy, job(copies, w)), delta(copies[0]), copies, w) for w in some)


def _permutation(case: Case, draw: Draw) -> bool:
    experts, weights, ids = draw.experts(torch.float64), draw.weights(case), "abcdefgh"[: len(draw.ranks)]
    order = torch.randperm(len(experts), generator=draw.stream()).tolist()
    mixed = job([experts[i] for i in order], [weights[i] for i in order], "".join(ids[i] for i in order))
    return close(merged(case.strategy, mixed), merged(case.strategy, job(experts, weights)), experts, weights)


def _weight_linearity(case: Case, draw: Draw) -> bool:
    experts, w, v = draw.experts(), draw.weights(case), draw.weights(case, offset=2)
    a, b = torch.randn(2, generator=draw.stream(offset=3)).tolist()
    both = merged(case.strategy, job(experts, [a * x + b * y for x, y in zip(w, v, strict=True)]))
    apart = a * merged(case.strategy, job(experts, w)) + b * merged(case.strategy, job(experts, v))
    return close(both, apart, experts, [abs(a * x) + abs(b * y) for x, y in zip(w, v, strict=True)])


def _times(factor: float) -> Callable[[Case, Draw], bool]:
    def check(case: Case, draw: Draw) -> bool:
        experts, weights = draw.experts(), draw.weights(case)
        scaled = [factor * w for w in weights]
        wanted = factor * merged(case.strategy, job(experts, weights))
        return close(merged(case.strategy, job(experts, scaled)), wanted, experts, scaled)

    return check


def _equals_linear(case: Case, draw: Draw) -> bool:
    experts, weights = draw.experts(), draw.weights(case)
    return close(merged(case.strategy, job(experts, weights)), total(experts, weights), experts, weights)


def _gauge(case: Case, draw: Draw) -> bool:
    experts, weights, stream = draw.experts(torch.float64), draw.weights(case), draw.stream(offset=4)
    turned = []
    for part in experts:
        rank = part.up.shape[1]
        spread = torch.diag(torch.rand(rank, generator=stream) * 2 + 0.3)
        turn = (torch.linalg.qr(torch.randn(rank, rank, generator=stream)).Q @ spread).double()
        turn = turn[:, torch.randperm(rank, generator=stream)]
        turned.append(Factors(up=-part.up @ turn, down=torch.linalg.inv(-turn) @ part.down))
    plain = merged(case.strategy, job(experts, weights))
    return close(merged(case.strategy, job(turned, weights)), plain, experts, weights)


def _missing(case: Case, draw: Draw) -> bool:
    experts, weights = draw.experts(torch.float64), draw.weights(case)
    zero = Factors(up=torch.zeros_like(experts[-1].up[:, :1]), down=torch.zeros_like(experts[-1].down[:1]))
    absent = merged(case.strategy, job([*experts[:-1], None], weights)) if len(experts) > 1 else zero.up @ zero.down
    return close(merged(case.strategy, job([*experts[:-1], zero], weights)), absent, experts, weights)


def _determinism(case: Case, draw: Draw) -> bool:
    experts, weights = draw.experts(), draw.weights(case)
    layers = [attrs.evolve(job(experts, weights), name=f"{LAYER}.{i}") for i in range(3)]
    one = [merged(case.strategy, layer) for layer in layers]
    with ThreadPoolExecutor(3) as pool:
        other = list(pool.map(lambda layer: merged(case.strategy, layer), reversed(layers)))
    return all(torch.equal(a, b) for a, b in zip(one, reversed(other), strict=True))


def _independence(case: Case, draw: Draw) -> bool:
    experts, weights = draw.experts(torch.float64), draw.weights(case)
    more = [*experts, attrs.evolve(draw, seed=draw.seed + 5, ranks=(4,)).experts(torch.float64)[0]]
    plain = merged(case.strategy, job(experts, weights))
    return close(merged(case.strategy, job(more, [*weights, 0.0])), plain, experts, weights)


def _expectation(case: Case, draw: Draw) -> bool:
    experts, weights = draw.experts(), draw.weights(case)
    few = [merged(case.strategy, job(experts, weights, seed=seed)) for seed in range(3)]
    masks = any(not torch.equal(few[0], other) for other in few[1:])
    more = range(3, SEEDS if masks else 3)
    found = torch.stack([*few, *(merged(case.strategy, job(experts, weights, seed=seed)) for seed in more)])
    wanted, error = total(experts, weights), found.std(0) / len(found) ** 0.5
    return bool(((found.mean(0) - wanted).abs() <= 5 * error + TOLERANCE * wanted.abs().max()).all())


def _optimality(case: Case, draw: Draw) -> bool:
    experts, weights = draw.experts(), draw.weights(case)
    found, wanted = merge_layer(case.strategy, job(experts, weights)), total(experts, weights)
    assert found is not None
    left = torch.linalg.svdvals(wanted)[found.factors.down.shape[0] :].norm()
    error = (found.factors.up.double() @ found.factors.down.double() - wanted).norm()
    return bool(error <= 1.0001 * left + TOLERANCE * wanted.norm())


CHECKS: dict[str, Callable[[Case, Draw], bool]] = {
    claims.IDENTITY: _identity,
    claims.IDEMPOTENCE: _idempotence,
    claims.PERMUTATION: _permutation,
    claims.WEIGHT_LINEARITY: _weight_linearity,
    claims.HOMOGENEITY: _times(1.7),
    claims.ODDNESS: _times(-1.0),
    claims.EQUALS_LINEAR: _equals_linear,
    claims.GAUGE_INVARIANCE: _gauge,
    claims.MISSING_LAYERS: _missing,
    claims.DETERMINISM: _determinism,
    claims.INDEPENDENCE: _independence,
    claims.EXPECTATION: _expectation,
    claims.OPTIMALITY: _optimality,
}


def holds(claim: str, case: Case, draw: Draw) -> bool:
    """Whether the claim holds; a strategy that refuses the experts does not have it."""
    try:
        return CHECKS[claim](case, draw.fit(case))
    except UserError:
        return False

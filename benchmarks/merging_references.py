"""What the strategies are compared with: PEFT, and the dense definitions of the papers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from merging_data import IDS
from peft import LoraConfig, LoraModel
from peft.utils.merge_utils import ties

from selma_core.merging.algebra import concatenate, norm, present
from selma_core.protocols import Factors, LayerJob


class Peft:
    """Linear layers with all experts on them: what `add_weighted_adapter` needs to be in memory."""

    def __init__(self, jobs: Iterable[LayerJob]) -> None:
        every = list(jobs)
        sizes = {job.name.replace(".", "_"): _size(job) for job in every}
        base = torch.nn.ModuleDict({name: torch.nn.Linear(n, m, bias=False) for name, (m, n) in sizes.items()})
        rank = _parts(every[0])[0].down.shape[0]
        config = LoraConfig(r=rank, lora_alpha=rank, target_modules=list(sizes), init_lora_weights=False)
        self.model = LoraModel(base, config, IDS[0])
        for name in IDS[1:]:
            self.model.peft_config[name] = config
            self.model.inject_adapter(self.model.model, name)
        for job, placed in zip(every, base.values(), strict=True):
            for name, part in zip(IDS, _parts(job), strict=True):
                placed.lora_A[name].weight.data = part.down
                placed.lora_B[name].weight.data = part.up
        self.weights = list(every[0].weights)
        self.rank = rank

    def merge(self, kind: str, **options: Any) -> None:
        """The whole call: it injects a random adapter, sets it to zero, merges; to the experts' rank."""
        if "merged" in self.model.peft_config:
            self.model.delete_adapter("merged")
        self.model.add_weighted_adapter(list(IDS), self.weights, "merged", combination_type=kind, **options)


def peft_ties(job: LayerJob, density: float) -> torch.Tensor:
    """PEFT's kernel of TIES alone, with the products before it and without the SVD after it."""
    deltas = [part.up @ part.down for part in _parts(job)]
    found: torch.Tensor = ties(deltas, torch.tensor(job.weights), density)
    return found


def dense_tsv(job: LayerJob) -> torch.Tensor:
    """TSV-Merge (2412.00081) on m x n matrices: T + 2 full decompositions. k is capped by the experts' rank."""
    parts = _parts(job)
    us, ss, vs = [], [], []
    for weight, part in zip(job.weights, parts, strict=True):
        u, s, v = torch.linalg.svd(part.up @ part.down, full_matrices=False)
        k = min(part.down.shape[0], min(_size(job)) // len(parts))
        us.append(u[:, :k])
        ss.append(len(parts) * weight * s[:k])
        vs.append(v[:k])
    left, right = (_polar(torch.cat(side, dim=axis)) for side, axis in ((us, 1), (vs, 0)))
    return (left * torch.cat(ss)) @ right


def _polar(stack: torch.Tensor) -> torch.Tensor:
    u, _, v = torch.linalg.svd(stack, full_matrices=False)
    found: torch.Tensor = u @ v
    return found


def dense_knots(job: LayerJob) -> torch.Tensor:
    """KnOTS (2410.19735): the SVD of [D_1 ... D_T] (m x T n), TIES without trimming on the coordinates S V_i."""
    parts = _parts(job)
    u, s, v = torch.linalg.svd(torch.cat([part.up @ part.down for part in parts], dim=1), full_matrices=False)
    kept = s > s[0] * 1e-6
    coordinates = torch.stack((s[kept, None] * v[kept]).chunk(len(parts), dim=1))
    weights = torch.tensor(job.weights).to(coordinates)[:, None, None]
    signs = torch.where((weights * coordinates).sum(0) >= 0, 1.0, -1.0)
    agree = (coordinates * weights).sign() == signs
    merged = (coordinates * weights * agree).sum(0) / (weights * agree).sum(0).clamp(min=1e-12)
    found: torch.Tensor = u[:, kept] @ merged
    return found


def over_optimal(job: LayerJob, cut: Factors) -> float:
    """|D - D_k| over that of the best D_k of its rank, in float64; 1 = optimal."""
    terms = [(w, Factors(up=part.up.double(), down=part.down.double())) for w, part in present(job)]
    whole = concatenate(terms)
    left, right = torch.linalg.qr(whole.up).R, torch.linalg.qr(whole.down.T).R
    best = math.sqrt(float(torch.linalg.svdvals(left @ right.T)[cut.down.shape[0] :].square().sum()))
    away = norm(concatenate([*terms, (-1.0, Factors(up=cut.up.double(), down=cut.down.double()))]))
    return away / best if best > 0 else 1.0


def apart(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """|D - D'| / |D'|."""
    return float((found - wanted).norm() / wanted.norm())


def _parts(job: LayerJob) -> Sequence[Factors]:
    return [part for part in job.experts if part is not None]


def _size(job: LayerJob) -> tuple[int, int]:
    first = _parts(job)[0]
    return first.up.shape[0], first.down.shape[1]

"""The value of a weight vector: merge, draw held-out prompts on common noise, score. Measurements are kept on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from selma_core.artifacts.images import png_bytes
from selma_core.artifacts.jsonl import Appender, repair
from selma_core.data import ImageItem, ImageRequest, Prompt
from selma_core.errors import UserError, did_you_mean
from selma_core.merging.files import MergePlan, merge_files
from selma_core.protocols import Context, FitJob, ImageJob, MergeStrategy, PromptJob
from selma_core.seeds import sample_seed
from selma_plugins.merging_search.options import SearchOptions
from selma_plugins.merging_search.racing import Weights


class Arena:
    """Measures candidates.

    Attributes:
        total: number of held-out prompts. drawn: images drawn so far, those of an earlier attempt included.
    """

    def __init__(self, options: SearchOptions, job: FitJob, inner: MergeStrategy) -> None:
        context = job.context
        self._options, self._job, self._inner = options, job, inner
        self._generator = context.component("image_generator", options.generator)
        self._evaluator = context.component("evaluator", options.evaluator)
        self._prompts = _prompts(options, context)
        self._specs = self._evaluator.prepare(self._prompts, context)
        info = self._evaluator.info
        if not info.higher_is_better or None in info.range:
            raise UserError(f"search maximises a bounded score; '{info.name}' is not one")
        if options.rule and options.rule not in info.rules:
            near = did_you_mean(options.rule, info.rules)
            raise UserError(f"search: '{info.name}' has no rule '{options.rule}': {near}")
        self._rule = options.rule or info.rules[0]
        self._low, self._high = info.range
        self._known = _Journal(context.workdir / "measured.jsonl")
        self.total, self.drawn = len(self._prompts), 0

    def measure(self, weights: Weights, prompts: int) -> float:
        """Score over the first `prompts` prompts in 0-1, less the penalty."""
        scores = self._scores(weights, prompts)
        value = (fmean(scores) - self._low) / (self._high - self._low) if scores else 0.0
        return value - self._options.penalty * fmean(map(abs, weights))

    def _scores(self, weights: Weights, prompts: int) -> list[float]:
        """Scores of the images; what an earlier rung or attempt measured is not drawn again."""
        key = hashlib.sha256(json.dumps(weights).encode()).hexdigest()[:16]
        known = self._known.of(key)
        left = [p for p in self._prompts[:prompts] if p.id not in known]
        if left:
            self._known.add(key, self._draw(weights, left))
        self.drawn += len(left)
        known = self._known.of(key)
        return [value for p in self._prompts[:prompts] if (value := known[p.id]) is not None]

    def _draw(self, weights: Weights, prompts: Sequence[Prompt]) -> dict[str, float | None]:
        job, context = self._job, self._job.context
        adapter = context.workdir / "candidate.safetensors"
        plan = MergePlan(
            strategy=self._inner,
            files=job.files,
            expert_ids=job.expert_ids,
            base=job.base,
            seed=context.seed,
            weights=weights,
        )
        merge_files(plan, adapter)
        count = self._generator.images_per_prompt
        requests = tuple(
            ImageRequest(prompt=p, k=k, seed=sample_seed(context.seed, p.id, k)) for p in prompts for k in range(count)
        )
        folder = context.workdir / "candidate"
        folder.mkdir(exist_ok=True)
        drawn = self._generator.images(ImageJob(context=context, requests=requests, adapter=adapter))
        items = [_item(folder, request, image) for request, image in drawn]
        rows = list(self._evaluator.observe(items, self._specs, context))
        found: dict[str, list[float]] = {p.id: [] for p in prompts}
        for row in rows:
            value = self._evaluator.score(row.atoms, self._specs.get(row.prompt_id), self._rule)
            if value is not None:
                found[row.prompt_id].append(float(value))
        return {name: fmean(values) if values else None for name, values in found.items()}


class _Journal:
    """Measured scores, one row each, so that a killed search goes on where it was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, dict[str, float | None]] = {}
        for row in repair(path):
            self.of(row.take("candidate", str))[row.take("prompt", str)] = row.number_or_none("value")

    def of(self, key: str) -> dict[str, float | None]:
        return self._known.setdefault(key, {})

    def add(self, key: str, scores: Mapping[str, float | None]) -> None:
        self.of(key).update(scores)
        with Appender(self._path) as file:
            for prompt, value in scores.items():
                file.add({"candidate": key, "prompt": prompt, "value": value})


def _prompts(options: SearchOptions, context: Context) -> tuple[Prompt, ...]:
    source = context.component("prompt_source", options.prompts)
    found = tuple(p for batch in source.prompts(PromptJob(context=context)) for p in batch.accepted)
    if not found:
        raise UserError("search: its prompt source gave no prompts")
    # A fixed shuffle: the first rung must not be all of one skill.
    return tuple(sorted(found, key=lambda p: hashlib.sha256(p.id.encode()).hexdigest()))


def _item(folder: Path, request: ImageRequest, image: Any) -> ImageItem:
    data = png_bytes(image)
    path = folder / request.file_name
    path.write_bytes(data)
    return ImageItem(
        item_id=f"{request.prompt.id}-{request.k}",
        prompt=request.prompt,
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        k=request.k,
        seed=request.seed,
    )

"""The stored scores of images that were drawn with one adapter, and of the same images without it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from selma_core.adapters.subject import Subject, recipe_of
from selma_core.catalog import Catalog
from selma_core.contenders import alone, compared
from selma_core.errors import SelmaError
from selma_core.scoring import score_entry
from selma_core.store import Store
from selma_core.store.manifest import Manifest
from selma_core.stored_scores import open_scores


@attrs.frozen(kw_only=True)
class Measured:
    """One metric of one set of images.

    Attributes:
        metric, score: as in the JSON of a run. base: the score of the same prompts and seeds without the adapter, None
            where the store has none. difference: with minus without, paired by prompt.
        stage, fingerprint: of the scores. prompts: the manifest of the prompts, None if it left the store.
    """

    metric: str
    score: Mapping[str, Any]
    base: Mapping[str, Any] | None
    difference: Mapping[str, Any] | None
    stage: str
    prompts: Manifest | None
    fingerprint: str


def measurements(subject: Subject, store: Store, catalog: Catalog, *, only_run: bool = False) -> list[Measured]:
    """All stored scores of images that were drawn with the adapter alone, and given to the judge as they were drawn.

    Args:
        only_run: only those of the subject's run; else of the whole store.

    Raises:
        UserError: stored scores that cannot be read, or whose plugin is missing.
    """
    if not subject.fingerprint:
        return []
    manifests = {one.fingerprint: one for one in store.manifests()}
    wanted = {stage["fingerprint"] for stage in subject.record.get("stages") or ()} if only_run else set(manifests)
    scored = [one for name, one in manifests.items() if one.kind == "evaluator" and name in wanted]
    report = recipe_of(subject.stage, subject.record).get("report")
    rule = report.get("rule") if isinstance(report, Mapping) else None
    found = []
    for manifest in sorted(scored, key=lambda one: (one.label, one.fingerprint)):
        sample = _sample(manifest, manifests)
        if sample is not None and sample.inputs.get("adapter") == (subject.fingerprint,):
            bare = next(_without(manifest, sample, manifests), None)
            prompts = [manifests.get(name) for name in sample.inputs.get("prompts", ())]
            one = _measure(manifest, bare, rule, store, catalog)
            found.append(attrs.evolve(one, prompts=prompts[0] if len(prompts) == 1 else None))
    return found


def _measure(manifest: Manifest, bare: Manifest | None, rule: str | None, store: Store, catalog: Catalog) -> Measured:
    def read(one: Manifest) -> Any:
        (opened,) = open_scores(str(store.artifact(one.fingerprint)), store, catalog)
        return opened.summary(rule if rule in opened.evaluator.info.rules else None)

    seed = int(manifest.payload.get("seed") or 0)
    summary = read(manifest)
    score, base, difference = score_entry(summary, seed), None, None
    if bare is not None:
        try:
            other = read(bare)
            base, difference = score_entry(other, seed), compared(alone(summary), alone(other), seed)
        except SelmaError:  # a damaged table of the base takes nothing from the adapter's own
            base = difference = None
    return Measured(
        metric=summary.metric,
        score=score,
        base=base,
        difference=difference,
        stage=manifest.label,
        prompts=None,
        fingerprint=manifest.fingerprint,
    )


def _sample(manifest: Manifest, manifests: Mapping[str, Manifest]) -> Manifest | None:
    """The stage that drew what an evaluator saw; None when it saw a selection or several sets."""
    images = manifest.inputs.get("images", ())
    found = manifests.get(images[0]) if len(images) == 1 else None
    return found if found is not None and found.kind == "image_generator" else None


def _without(manifest: Manifest, sample: Manifest, manifests: Mapping[str, Manifest]) -> Iterator[Manifest]:
    """The evaluations, by the same judge, of the same images drawn without any adapter."""
    for other in manifests.values():
        if other.kind == "evaluator" and _key(other, "images") == _key(manifest, "images"):
            bare = _sample(other, manifests)
            if bare is not None and not bare.inputs.get("adapter") and _key(bare, "adapter") == _key(sample, "adapter"):
                yield other


def _key(manifest: Manifest, port: str) -> str:
    """What entered a fingerprint but for one port."""
    inputs = {name: names for name, names in manifest.payload.get("inputs", {}).items() if name != port}
    return json.dumps({**manifest.payload, "inputs": inputs}, sort_keys=True)

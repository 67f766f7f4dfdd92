"""From the values of images to a metric's summary: the mean over prompts of the mean over each prompt's images.

For evaluators whose rules score one image at a time. Pure: no model, no torch, no file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from selma_core.data import ItemAtoms, MetricInfo, PromptScore, Summary
from selma_core.errors import ArtifactError, did_you_mean


def average_over_prompts(
    rows: Sequence[ItemAtoms],
    specs: Mapping[str, Any],
    value: Callable[[ItemAtoms, Any], float | None],
    *,
    info: MetricInfo,
    rule: str,
    judge: str,
    expected: Callable[[Any], int] = lambda spec: 1,
) -> Summary:
    """The metric over all prompts of `specs`; what was not observed lowers the coverage, never the mean.

    Args:
        specs: prompt id -> spec; a spec that is a mapping with `groups` puts its prompt into these groups.
        value: (row, spec) -> the value of one image under `rule`, or None. info: of the metric; a range of [0, 1] is
            reported times 100, any other as it is.
        expected: spec -> how many observations each image of the prompt should have.

    Raises:
        ArtifactError: a row of a prompt that `specs` does not have.
    """
    by_prompt: dict[str, list[ItemAtoms]] = {prompt_id: [] for prompt_id in specs}
    for row in rows:
        if row.prompt_id not in by_prompt:
            hint = did_you_mean(row.prompt_id, specs)
            raise ArtifactError(f"image '{row.item_id}' is of prompt '{row.prompt_id}', which has no spec: {hint}")
        by_prompt[row.prompt_id].append(row)
    prompts = tuple(_prompt(key, images, specs[key], value) for key, images in by_prompt.items())
    seen = [prompt for prompt in prompts if prompt.value is not None]
    scale = 100.0 if info.range == (0.0, 1.0) else 1.0
    observed = sum(atom.status == "ok" for row in rows for atom in row.atoms)
    # Each prompt should have as many images as the fullest one has.
    wanted = max(len({row.k for row in rows}), 1) * sum(expected(spec) for spec in specs.values())
    return Summary(
        metric=info.name,
        rule=rule,
        judge=judge,
        mean=_mean(seen) * scale if seen else None,
        prompts=prompts,
        groups={name: _mean(members) * scale for name, members in _by_group(seen).items()},
        n_prompts=len(seen),
        n_images=sum(len(prompt.per_image) for prompt in prompts),
        n_atoms=observed,
        coverage=observed / wanted if wanted else 0.0,
        scale=scale,
        higher_is_better=info.higher_is_better,
    )


def _prompt(
    prompt_id: str, rows: Sequence[ItemAtoms], spec: Any, value: Callable[[ItemAtoms, Any], float | None]
) -> PromptScore:
    found = (value(row, spec) for row in sorted(rows, key=lambda row: row.k))
    images = tuple(one for one in found if one is not None)
    groups = tuple(spec.get("groups", ())) if isinstance(spec, Mapping) else ()
    return PromptScore(prompt_id=prompt_id, value=fmean(images) if images else None, per_image=images, groups=groups)


def _mean(prompts: Sequence[PromptScore]) -> float:
    return fmean(prompt.value or 0.0 for prompt in prompts)


def _by_group(prompts: Sequence[PromptScore]) -> dict[str, list[PromptScore]]:
    found: dict[str, list[PromptScore]] = {}
    for prompt in prompts:
        for name in prompt.groups:
            found.setdefault(name, []).append(prompt)
    return found

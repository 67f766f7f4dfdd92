"""From stored answers to DSG scores. Pure: no model, no torch, no file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from selma_core.data import Atom, ItemAtoms, PromptScore, Summary
from selma_core.errors import ArtifactError, did_you_mean
from selma_plugins.evaluation.rules import Question, Rule, rule_of

Spec = Mapping[str, Any]


def questions_of(atoms: Sequence[Atom], spec: Spec) -> list[Question]:
    """The questions of a spec with one image's answers, in file order; what was not observed has value None."""
    values = {atom.key: atom.value for atom in atoms if atom.status == "ok"}
    return [Question(q["id"], q["dependency"], values.get(q["id"])) for q in spec["questions"]]


def question_scores(
    rows: Iterable[ItemAtoms], specs: Mapping[str, Spec], rule: str
) -> Iterator[tuple[Mapping[str, str], float]]:
    """Every counted (question, score) of all images under a rule's zeroing."""
    zero = rule_of(rule).zero
    for row in rows:
        spec = _spec(row, specs)
        for question, score in zip(spec["questions"], zero(questions_of(row.atoms, spec)), strict=True):
            if score is not None:
                yield question, score


def summarise_rows(
    rows: Sequence[ItemAtoms], specs: Mapping[str, Spec], rule: str, *, metric: str, judge: str
) -> Summary:
    """The metric over all prompts of `specs`; prompts and images without an answer only lower the coverage."""
    by_prompt: dict[str, list[ItemAtoms]] = {prompt_id: [] for prompt_id in specs}
    for row in rows:
        _spec(row, specs)
        by_prompt[row.prompt_id].append(row)
    prompts = tuple(_prompt_score(key, images, specs[key], rule_of(rule)) for key, images in by_prompt.items())
    seen = [prompt for prompt in prompts if prompt.value is not None]
    observed = sum(q.value is not None for row in rows for q in questions_of(row.atoms, specs[row.prompt_id]))
    return Summary(
        metric=metric,
        rule=rule,
        judge=judge,
        mean=_percent(seen) if seen else None,
        prompts=prompts,
        groups={name: _percent(members) for name, members in _by_group(seen).items()},
        categories=_categories(question_scores(rows, specs, rule)),
        n_prompts=len(seen),
        n_images=sum(len(prompt.per_image) for prompt in prompts),
        n_atoms=observed,
        coverage=_coverage(observed, rows, specs),
    )


def _spec(row: ItemAtoms, specs: Mapping[str, Spec]) -> Spec:
    if row.prompt_id not in specs:
        raise ArtifactError(
            f"image '{row.item_id}' answers prompt '{row.prompt_id}', which has no questions here: "
            f"{did_you_mean(row.prompt_id, specs)}"
        )
    return specs[row.prompt_id]


def _prompt_score(prompt_id: str, rows: Sequence[ItemAtoms], spec: Spec, rule: Rule) -> PromptScore:
    asked = [questions_of(row.atoms, spec) for row in sorted(rows, key=lambda row: row.k)]
    images = tuple(value for value in map(rule.image, asked) if value is not None)
    value, weight = _mean(images), 1.0
    if rule.by_question:
        counted = [score for questions in asked for score in rule.zero(questions) if score is not None]
        value, weight = _mean(counted), float(len(counted))
    return PromptScore(
        prompt_id=prompt_id, value=value, per_image=images, groups=tuple(spec.get("groups", ())), weight=weight
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _percent(prompts: Sequence[PromptScore]) -> float:
    total = sum(prompt.weight for prompt in prompts)
    return 100.0 * sum(prompt.weight * (prompt.value or 0.0) for prompt in prompts) / total


def _by_group(prompts: Iterable[PromptScore]) -> dict[str, list[PromptScore]]:
    found: dict[str, list[PromptScore]] = defaultdict(list)
    for prompt in prompts:
        for name in prompt.groups:
            found[name].append(prompt)
    return dict(found)


def _categories(scores: Iterable[tuple[Mapping[str, str], float]]) -> dict[str, float]:
    """Per cent by `broad` and by `broad/detailed`, in alphabetical order."""
    found: dict[str, list[float]] = defaultdict(list)
    for question, score in scores:
        broad, detailed = question["category_broad"], question["category_detailed"]
        found[broad].append(score)
        if detailed not in {"", "-"}:
            found[f"{broad}/{detailed}"].append(score)
    return {name: 100.0 * sum(values) / len(values) for name, values in sorted(found.items())}


def _coverage(observed: int, rows: Sequence[ItemAtoms], specs: Mapping[str, Spec]) -> float:
    """Observed over expected answers; each prompt should have as many images as the fullest one has.

    A prompt for which no questions could be written says how many it should have had.
    """
    images = max(len({row.k for row in rows}), 1)
    expected = images * sum(spec.get("expected", len(spec["questions"])) for spec in specs.values())
    return observed / expected if expected else 0.0

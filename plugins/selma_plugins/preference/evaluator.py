"""What the preference evaluators share: a model, one atom `score` per image, rules that scale it. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from selma_core.averages import average_over_prompts
from selma_core.data import Atom, ImageItem, ItemAtoms, MetricInfo, Prompt, Summary
from selma_core.errors import UnknownNameError, did_you_mean
from selma_core.protocols import Context
from selma_core.rewards import score_value, text_spec

if TYPE_CHECKING:
    from selma_plugins.preference.scorer import Scorer

SCORER = "scorer"
"""The port of a trained model, and who judges where no model is named."""


@attrs.frozen
class Rule:
    """From what was stored to the score of an image.

    Attributes: factor = what it is multiplied by; floor = what it is at least, before that; component = the number in
    the atom's data that is read instead of its value.
    """

    factor: float = 1.0
    floor: float | None = None
    component: str = ""


class PreferenceEvaluator:
    """Base of the evaluators of this folder. A subclass gives the class attributes and `load`.

    Attributes:
        metric: the definition; `rules` is filled in. rules: all rules, that of the stored value first.
    """

    metric: ClassVar[MetricInfo]
    rules: ClassVar[Mapping[str, Rule]] = {"official": Rule()}

    def __init__(self, options: Any) -> None:
        self.options = options
        self._judge = str(options.model) or SCORER
        self._tokens = self.metric.max_text_tokens
        self._ready: tuple[Context, Scorer] | None = None

    @property
    def info(self) -> MetricInfo:
        """`judge` is the model's name, with its pin once it is loaded; the rule that the options name comes first."""
        first = getattr(self.options, "rule", next(iter(self.rules)))
        names = (first, *(name for name in self.rules if name != first))
        return attrs.evolve(self.metric, rules=names, judge=self._judge, max_text_tokens=self._tokens)

    def load(self, context: Context) -> Scorer:
        """The model, shared through the context's pool.

        Raises:
            ModelError: it is not here, or is another model than this metric's.
        """
        raise NotImplementedError

    def ready(self, context: Context) -> Scorer:
        """`load`, once per context, and says in `info` who judges."""
        if self._ready is not None and self._ready[0] is context:
            return self._ready[1]
        scorer = self.load(context)
        self._ready = context, scorer
        self._judge, self._tokens = f"{self.options.model or SCORER}@{_short(scorer.pin)}", scorer.limit
        return scorer

    def spec(self, prompt: Prompt, scorer: Scorer) -> dict[str, Any]:
        """What scoring an image of a prompt needs: its text, and what a subclass adds."""
        return text_spec(prompt)

    def texts(self, spec: Mapping[str, Any]) -> list[str]:
        """What the text encoder reads of a spec."""
        return [str(spec["text"])]

    def prepare(self, prompts: Sequence[Prompt], context: Context) -> dict[str, Any]:
        """prompt id -> spec; one warning when the model cannot read all of some prompts."""
        scorer = self.ready(context)
        specs = {prompt.id: self.spec(prompt, scorer) for prompt in prompts}
        long = 0
        for spec in specs.values():
            spec["tokens"] = scorer.count(self.texts(spec))
            long += max(spec["tokens"]) > scorer.limit
        if long:
            context.warn(
                f"{self.metric.name} reads {scorer.limit} tokens of a text: it cuts {long} of {len(specs)} prompts"
            )
        return specs

    def observe(self, items: Sequence[ImageItem], specs: Mapping[str, Any], context: Context) -> Iterator[ItemAtoms]:
        """One atom per image; an image that cannot be read, or a value that is no number, is an error."""
        scorer = self.ready(context)
        from selma_plugins.preference.batches import atoms_of

        # A batch on a CPU gains nothing, and alone an image's value cannot depend on its neighbours.
        size = 1 if context.device == "cpu" else self.options.batch_size
        encoded: dict[str, Any] = {}
        for start in range(0, len(items), size):
            part = items[start : start + size]
            for item in part:
                if item.prompt.id not in encoded:
                    encoded[item.prompt.id] = scorer.encode(specs[item.prompt.id], self.texts(specs[item.prompt.id]))
            atoms = atoms_of(scorer, part, [encoded[item.prompt.id] for item in part], size)
            for item, atom in zip(part, atoms, strict=True):
                yield ItemAtoms(item_id=item.item_id, prompt_id=item.prompt.id, k=item.k, atoms=(atom,))

    def score(self, atoms: Sequence[Atom], spec: Any, rule: str) -> float | None:
        """The stored value under a rule.

        Raises:
            UnknownNameError: there is no such rule.
        """
        if rule not in self.rules:
            raise UnknownNameError(f"{self.metric.name} has no rule '{rule}': {did_you_mean(rule, self.rules)}")
        found = self.rules[rule]
        value = score_value(atoms, found.component)
        if value is None:
            return None
        return found.factor * (value if found.floor is None else max(value, found.floor))

    def aggregate(self, rows: Sequence[ItemAtoms], specs: Mapping[str, Any], rule: str) -> Summary:
        """The mean over prompts of the mean over their images."""
        return average_over_prompts(
            rows,
            specs,
            lambda row, spec: self.score(row.atoms, spec, rule),
            info=self.metric,
            rule=rule,
            judge=str(self.options.model) or SCORER,
        )


def _short(pin: str) -> str:
    """`a4e4367` of a hub commit, `sha256:0123456` of a digest."""
    kind, _, digest = pin.partition(":")
    return digest.rpartition("@")[2][:7] if kind == "hub" else f"{kind}:{digest[:7]}"

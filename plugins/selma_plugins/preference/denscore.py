"""Denscore: the mean of an image's cosines with each sentence of a long prompt. Source: LongAlign, arXiv 2410.11817."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from selma_core.data import Atom, Entry, MetricInfo, Prompt
from selma_core.errors import UserError
from selma_core.protocols import Context
from selma_core.rewards import score_value, text_spec
from selma_plugins.encoders.sentences import split
from selma_plugins.preference.evaluator import PreferenceEvaluator, Rule
from selma_plugins.preference.sentences import reference_texts

if TYPE_CHECKING:
    from selma_plugins.preference.dense import DenseScorer
    from selma_plugins.preference.scorer import Scorer

OMEGAS = {"omega_0": 0.0, "omega_0.3": 0.3, "omega_0.5": 0.5, "omega_1": 1.0}
"""Rules that weigh the stored parts anew: the values that the paper compares."""


class Denscore(PreferenceEvaluator):
    """An atom holds both parts of the mean cosine, so that its rules can weigh them as they like, without the model.

    Its value is `relevant + omega irrelevant`; its data are `total`, `relevant`, `irrelevant`, `eta` and the sentences'
    shares. A spec is `{text, groups, sentences, omega, direction}`: the common direction is stored, not of the batch,
    so that a score does not depend on its neighbours.
    """

    metric: ClassVar = MetricInfo(
        name="denscore",
        range=(-100.0, 100.0),
        scale="official: mean cosine of the sentences; x100: 100 x that; relevant, irrelevant: its parts; "
        "reweighted, omega_W: relevant + W x irrelevant; eta: share of the text along the common direction",
        max_text_tokens=77,
    )
    rules: ClassVar = {
        "official": Rule(component="total"),
        "x100": Rule(100.0, component="total"),
        "reweighted": Rule(),
        "relevant": Rule(component="relevant"),
        "irrelevant": Rule(component="irrelevant"),
        "eta": Rule(component="eta"),
        **{name: Rule(weight) for name, weight in OMEGAS.items()},
    }

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._direction: str | None = None

    def load(self, context: Context) -> Scorer:
        """A CLIP model in transformers' form: the one named, else the one at the stage's port `scorer`."""
        from selma_plugins.preference.clip import load_clip, load_tokenizer
        from selma_plugins.preference.dense import DenseScorer

        entry = self._model(context)
        named = context.entry("models", self.options.tokenizer) if self.options.tokenizer else entry
        scorer = DenseScorer(load_clip(context, entry), load_tokenizer(named), entry.pin)
        if self.options.common == "stored" and self._direction is None:
            self._direction = self._fit(context, scorer)
        return scorer

    def _model(self, context: Context) -> Entry:
        return context.entry("models", self.options.model) if self.options.model else context.scorer()

    def _fit(self, context: Context, scorer: DenseScorer) -> str:
        from selma_plugins.preference.dense import pack
        from selma_plugins.preference.weights import path_of

        if self.options.reference:
            path = context.entry("files", self.options.reference).path
            return pack(scorer.fit_common_direction(reference_texts(path)))
        stored = scorer.stored_direction(path_of(self._model(context)))
        return pack(scorer.fit_common_direction(reference_texts(None)) if stored is None else stored)

    def prepare(self, prompts: Sequence[Prompt], context: Context) -> dict[str, Any]:
        """prompt id -> spec.

        Raises:
            UserError: the options say `common: batch`, with which the score of an image is that of its batch.
        """
        if self.options.common == "batch":
            raise UserError("denscore scores with a stored direction only; common: batch is for training. Leave it out")
        return super().prepare(prompts, context)

    def spec(self, prompt: Prompt, scorer: Scorer) -> dict[str, Any]:
        """The sentences, omega, and the direction (but where the batch decides)."""
        spec = {**text_spec(prompt), "sentences": split(prompt.text, self.options.split), "omega": self.options.omega}
        return spec if self._direction is None else {**spec, "direction": self._direction}

    def texts(self, spec: Mapping[str, Any]) -> list[str]:
        """The sentences: each is cut by itself."""
        return list(spec["sentences"])

    def score(self, atoms: Sequence[Atom], spec: Any, rule: str) -> float | None:
        """The value under a rule, from the stored parts."""
        if rule not in OMEGAS:
            return super().score(atoms, spec, rule)
        relevant, irrelevant = score_value(atoms, "relevant"), score_value(atoms, "irrelevant")
        return None if relevant is None or irrelevant is None else relevant + OMEGAS[rule] * irrelevant

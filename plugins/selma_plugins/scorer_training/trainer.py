"""The scorer trainer `preference_scorer`."""

from __future__ import annotations

from pathlib import Path

from selma_core.errors import UserError, did_you_mean
from selma_core.protocols import ScorerJob, TrainedScorer
from selma_plugins.preference.weights import path_of
from selma_plugins.scorer_training.options import PreferenceScorerOptions
from selma_plugins.scorer_training.pairs import PAIRS, Pair, Scores, pairs_of, read_pairs
from selma_plugins.scorer_training.train import Place, fit


class PreferenceScorer:
    """`selma_core.protocols.ScorerTrainer`: a CLIP that learns which of two pictures agrees more with a prompt."""

    def __init__(self, options: PreferenceScorerOptions) -> None:
        self._options = options

    def train(self, job: ScorerJob) -> TrainedScorer:
        """Trains on the pairs of the folder and of the scored images.

        Raises:
            UserError: no pair, no such metric or rule, images without scores. ArtifactError: a broken pair.
            ModelError: the start cannot be read. StageError: the loss is no number any more.
        """
        options, context = self._options, job.context
        pairs = [*self._listed(job), *self._scored(job)]
        start = path_of(context.entry("models", options.start))
        place = Place(start=start, out=job.out, work=context.workdir, seed=context.seed, device=context.device)
        return fit(options, place, pairs, context.progress)

    def _listed(self, job: ScorerJob) -> list[Pair]:
        if not self._options.pairs:
            return []
        folder = job.context.entry("folders", self._options.pairs).path
        return read_pairs(Path(folder or "") / PAIRS, inside=True)

    def _scored(self, job: ScorerJob) -> list[Pair]:
        if not job.images and not job.scores:
            return []
        if not job.images or not job.scores:
            raise UserError("pairs are made of images and scores of them; give the stage both, or neither")
        return pairs_of(job.images, self._table(job), self._options.rule, self._options.margin, "the scored images")

    def _table(self, job: ScorerJob) -> Scores:
        named = self._options.metric
        if not named and len(job.scores) > 1:
            raise UserError(f"metric: the images have several scores; name one of {', '.join(job.scores)}")
        name = named or next(iter(job.scores))
        if name not in job.scores:
            raise UserError(f"metric: the images have no scores '{name}'; {did_you_mean(name, job.scores)}")
        return job.scores[name]

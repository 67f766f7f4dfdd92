"""Training of a preference model: from pairs of pictures to a folder with a CLIP that `denscore` and its kin read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import torch

from selma_core.errors import StageError, UserError
from selma_core.protocols import TrainedScorer
from selma_core.seeds import derive_seed
from selma_plugins.encoders.sentences import split
from selma_plugins.preference.pixels import crop_file
from selma_plugins.scorer_training.loss import mean_sentences, preference_loss, unit
from selma_plugins.scorer_training.model import open_start, save_scorer
from selma_plugins.scorer_training.options import PreferenceScorerOptions
from selma_plugins.scorer_training.pairs import Pair, hold_out, weights_of
from selma_plugins.training.checkpoint import (
    load_checkpoint,
    pack_optimizer,
    prefixed,
    save_checkpoint,
    under,
    unpack_optimizer,
)

Progress = Callable[[int, int, str], None]


@attrs.frozen(kw_only=True)
class Place:
    """Attributes: start = folder of the CLIP; out = an existing empty folder for the model; work = folder of the
    checkpoints; seed = of all draws; device = torch's name of it."""

    start: Path
    out: Path
    work: Path
    seed: int = 0
    device: str = "cpu"


def fit(options: PreferenceScorerOptions, place: Place, pairs: Sequence[Pair], progress: Progress) -> TrainedScorer:
    """Trains all weights, going on from the last checkpoint, and writes the model into `place.out`.

    The folder has the model, the tokenizer, and `common_direction.safetensors` (of the training prompts); the card says
    the share of held-out pairs that are told apart, before and after.

    Args: progress = gets (step, steps, note).

    Raises:
        UserError: a checkpoint of another model. ModelError: the start cannot be read. StageError: the loss is no
        number any more.
    """
    run = _Run(options, place, pairs, progress)
    run.go()
    return run.write()


class _Run:
    def __init__(
        self, options: PreferenceScorerOptions, place: Place, pairs: Sequence[Pair], progress: Progress
    ) -> None:
        self.options, self.place, self.progress = options, place, progress
        self.train, self.held = hold_out(pairs, options.heldout)
        self.shares = weights_of(self.train)
        self.model, self.tokenizer = open_start(place.start, place.seed, random=options.random_start)
        self.model.to(place.device).train()
        self.limit = int(self.model.config.text_config.max_position_embeddings)
        self.weights = dict(self.model.named_parameters())
        self.optimizer = torch.optim.AdamW(
            list(self.weights.values()), lr=options.lr, weight_decay=options.weight_decay
        )
        self.step, self.rows = 0, list[dict[str, float]]()
        self.before = self.accuracy()

    def go(self) -> None:
        """Steps to the last one."""
        self._resume()
        losses: list[float] = []
        while self.step < self.options.steps:
            losses.append(self._one_step())
            self.step += 1
            note = ""
            last = self.step == self.options.steps
            if last or self.step % self.options.log_every == 0 or self.step % self.options.save_every == 0:
                note = self._log(sum(losses) / len(losses))
                losses = []
            if not last and self.step % self.options.save_every == 0:
                self._save()
            self.progress(self.step, self.options.steps, note)

    def _one_step(self) -> float:
        chosen = _chosen(self.place.seed, self.step, len(self.train), self.options.batch)
        pairs = [self.train[i] for i in chosen]
        better, worse = self._logits(pairs)
        labels = torch.tensor([pair.label for pair in pairs], device=better.device)
        weights = torch.tensor([self.shares[i] for i in chosen], device=better.device)
        loss = preference_loss(better, worse, labels, weights)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise StageError(f"the loss is {value} at step {self.step + 1}: lower the learning rate")
        torch.autograd.backward(loss)
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.lr * min(1.0, (self.step + 1) / max(1, self.options.warmup))
        if self.options.clip:
            torch.nn.utils.clip_grad_norm_(list(self.weights.values()), self.options.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return value

    def _logits(self, pairs: Sequence[Pair]) -> tuple[torch.Tensor, torch.Tensor]:
        segments = [split(pair.prompt, self.options.split) for pair in pairs]
        tokens = self.tokenizer(
            [text for found in segments for text in found],
            padding="max_length", truncation=True, max_length=self.limit, return_tensors="pt",
        ).to(self.place.device)  # fmt: skip
        sentences = unit(self.model.get_text_features(**tokens))
        prompts = mean_sentences(sentences, [len(found) for found in segments])
        side = int(self.model.config.vision_config.image_size)
        files = [pair.better for pair in pairs] + [pair.worse for pair in pairs]
        pixels = torch.stack([crop_file(file, side) for file in files]).to(self.place.device)
        images = unit(self.model.get_image_features(pixel_values=pixels)).view(2, len(pairs), -1)
        better, worse = self.model.logit_scale.exp() * (images * prompts).sum(-1)
        return better, worse

    @torch.no_grad()
    def accuracy(self) -> float | None:
        """Share of the held-out pairs whose better image has the higher score; ties of the label do not count."""
        sure = [pair for pair in self.held if pair.label > 0.5]
        if not sure:
            return None
        self.model.eval()
        right = 0
        for start in range(0, len(sure), self.options.batch):
            better, worse = self._logits(sure[start : start + self.options.batch])
            right += int((better > worse).sum())
        self.model.train()
        return right / len(sure)

    def _log(self, loss: float) -> str:
        row: dict[str, float] = {"step": self.step, "loss": loss}
        if self.step == self.options.steps or self.step % self.options.save_every == 0:
            found = self.accuracy()
            row |= {} if found is None else {"heldout_accuracy": found}
        self.rows.append(row)
        return " ".join(f"{key} {value:.4g}" for key, value in row.items())

    def _save(self) -> None:
        names = {id(weight): name for name, weight in self.weights.items()}
        tensors = {
            **prefixed("weight", self.weights),
            **prefixed("optimizer", pack_optimizer(self.optimizer, names)),
        }
        save_checkpoint(self.place.work, self.step, tensors, {"rows": self.rows})

    @torch.no_grad()
    def _resume(self) -> None:
        found = load_checkpoint(self.place.work)
        if found is None:
            return
        self.step, tensors, values = found
        stored = under("weight", tensors)
        if stored.keys() != self.weights.keys():
            raise UserError(f"{self.place.work}: its checkpoint is of another model; delete the folder and run again")
        for name, weight in self.weights.items():
            weight.copy_(stored[name])
        unpack_optimizer(self.optimizer, list(self.weights), under("optimizer", tensors))
        self.rows = values["rows"]

    def write(self) -> TrainedScorer:
        """The model's files."""
        self.model.eval()
        options = self.options
        card = {
            "method": "preference_scorer", "steps": self.step, "seed": self.place.seed, "split": options.split,
            "lr": options.lr, "batch": options.batch, "pairs": len(self.train), "heldout_pairs": len(self.held),
            "prompts": len({pair.prompt for pair in self.train}), "heldout_accuracy": self.accuracy(),
            "heldout_accuracy_before": self.before,
        }  # fmt: skip
        prompts = [pair.prompt for pair in self.train]
        save_scorer(self.place.out, self.model, self.tokenizer, prompts, options.split)
        return TrainedScorer(metadata=card, curve=tuple(self.rows))


def _chosen(seed: int, step: int, count: int, batch: int) -> list[int]:
    """The pairs of a step: each epoch is a new order of all; a function of seed and step."""
    places = range(step * batch, (step + 1) * batch)
    orders = {}
    for epoch in {place // count for place in places}:
        stream = torch.Generator("cpu").manual_seed(derive_seed("scorer-order", seed, epoch))
        orders[epoch] = torch.randperm(count, generator=stream).tolist()
    return [orders[place // count][place % count] for place in places]

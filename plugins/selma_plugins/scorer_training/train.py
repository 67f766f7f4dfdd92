"""The trainer `preference_scorer`: from pairs of pictures to a folder with a CLIP that `denscore` and its kin read."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from selma_core.errors import ModelError, StageError, UserError
from selma_core.files import write_json
from selma_core.seeds import derive_seed
from selma_plugins.encoders.sentences import split
from selma_plugins.preference.clip import ClipScorer
from selma_plugins.preference.dense import DenseScorer, save_direction
from selma_plugins.preference.pixels import crop_file
from selma_plugins.scorer_training.loss import mean_sentences, preference_loss, unit
from selma_plugins.scorer_training.pairs import Pair, hold_out, weights_of
from selma_plugins.training.checkpoint import (
    load_checkpoint,
    pack_optimizer,
    prefixed,
    save_checkpoint,
    under,
    unpack_optimizer,
)

CARD, CURVE = "scorer.json", "curve.jsonl"


@attrs.frozen(kw_only=True)
class ScorerOptions:
    """Settings; the defaults are PickScore's where they are known (CLIP-H, 128 pairs a step there).

    Attributes:
        start: folder of a CLIP model in transformers' form; without weights it begins at random. seed: of all draws.
        heldout: share of the prompts whose pairs are held out.
    """

    start: Path
    out: Path
    steps: int = 4000
    batch: int = 128
    lr: float = 3e-6
    warmup: int = 500
    weight_decay: float = 0.01
    clip: float = 1.0
    split: str = "official"
    heldout: float = 0.1
    save_every: int = 500
    log_every: int = 10
    seed: int = 0
    device: str = "cpu"


def train(options: ScorerOptions, pairs: Sequence[Pair], report: Callable[[str], None] = print) -> dict[str, Any]:
    """Trains all weights, goes on after a kill, writes the model's folder, and returns its card.

    The folder has the model, the tokenizer, `common_direction.safetensors` (of the training prompts), the curve, and
    `scorer.json` with the share of held-out pairs that are told apart.

    Raises:
        UserError: the folder holds something else, or no pair is left to train on. ModelError: the start cannot be
        read. StageError: the loss is no number any more.
    """
    if options.out.exists() and any(options.out.iterdir()):
        raise UserError(f"{options.out} is not empty; name another folder")
    run = _Run(options, pairs, report)
    run.go()
    return run.write()


class _Run:
    def __init__(self, options: ScorerOptions, pairs: Sequence[Pair], report: Callable[[str], None]) -> None:
        self.options, self.report = options, report
        self.train, self.held = hold_out(pairs, options.heldout)
        self.shares = weights_of(self.train)
        self.model, self.tokenizer = _start(options)
        self.model.to(options.device).train()
        self.limit = int(self.model.config.text_config.max_position_embeddings)
        self.weights = dict(self.model.named_parameters())
        self.optimizer = torch.optim.AdamW(
            list(self.weights.values()), lr=options.lr, weight_decay=options.weight_decay
        )
        self.step, self.rows = 0, list[dict[str, float]]()
        # Beside the folder, not in it: what is there then is whole.
        self.work = options.out.with_name(f".{options.out.name}.work")

    def go(self) -> None:
        """Steps to the last one."""
        self._resume()
        losses: list[float] = []
        while self.step < self.options.steps:
            losses.append(self._one_step())
            self.step += 1
            last = self.step == self.options.steps
            if last or self.step % self.options.log_every == 0 or self.step % self.options.save_every == 0:
                self._log(sum(losses) / len(losses))
                losses = []
            if not last and self.step % self.options.save_every == 0:
                self._save()

    def _one_step(self) -> float:
        chosen = _chosen(self.options.seed, self.step, len(self.train), self.options.batch)
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
        ).to(self.options.device)  # fmt: skip
        sentences = unit(self.model.get_text_features(**tokens))
        prompts = mean_sentences(sentences, [len(found) for found in segments])
        side = int(self.model.config.vision_config.image_size)
        files = [pair.better for pair in pairs] + [pair.worse for pair in pairs]
        pixels = torch.stack([crop_file(file, side) for file in files]).to(self.options.device)
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

    def _log(self, loss: float) -> None:
        row: dict[str, float] = {"step": self.step, "loss": loss}
        if self.step == self.options.steps or self.step % self.options.save_every == 0:
            found = self.accuracy()
            row |= {} if found is None else {"heldout_accuracy": found}
        self.rows.append(row)
        self.report(" ".join(f"{key} {value:.4g}" for key, value in row.items()))

    def _save(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        names = {id(weight): name for name, weight in self.weights.items()}
        tensors = {
            **prefixed("weight", self.weights),
            **prefixed("optimizer", pack_optimizer(self.optimizer, names)),
        }
        save_checkpoint(self.work, self.step, tensors, {"rows": self.rows})

    @torch.no_grad()
    def _resume(self) -> None:
        found = load_checkpoint(self.work)
        if found is None:
            return
        self.step, tensors, values = found
        stored = under("weight", tensors)
        if stored.keys() != self.weights.keys():
            raise UserError(f"{self.work}: its checkpoint is of another model; delete the folder and run again")
        for name, weight in self.weights.items():
            weight.copy_(stored[name])
        unpack_optimizer(self.optimizer, list(self.weights), under("optimizer", tensors))
        self.rows = values["rows"]

    def write(self) -> dict[str, Any]:
        """The model's folder, whole or not at all; then the checkpoints go."""
        self.model.eval()
        card = {
            "steps": self.step, "seed": self.options.seed, "split": self.options.split, "lr": self.options.lr,
            "batch": self.options.batch, "pairs": len(self.train), "heldout_pairs": len(self.held),
            "heldout_accuracy": self.accuracy(),
        }  # fmt: skip
        part = self.options.out.with_name(f".{self.options.out.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        save_scorer(part, self.model, self.tokenizer, [pair.prompt for pair in self.train], self.options.split)
        lines = "".join(json.dumps(row) + "\n" for row in self.rows)
        (part / CURVE).write_text(lines, encoding="utf-8")
        write_json(part / CARD, card)
        shutil.rmtree(self.options.out, ignore_errors=True)
        part.rename(self.options.out)
        shutil.rmtree(self.work, ignore_errors=True)
        return card


def save_scorer(folder: Path, model: Any, tokenizer: Any, prompts: Sequence[str], how: str) -> None:
    """The model, its tokenizer, and the common direction of prompts (each the mean of its sentences)."""
    scorer = DenseScorer(model, tokenizer, "")
    means = torch.stack([scorer.features(split(text, how)).mean(0) for text in sorted(set(prompts))])
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    save_direction(folder, torch.nn.functional.normalize(means.mean(0), dim=0))


def _start(options: ScorerOptions) -> tuple[Any, Any]:
    folder = options.start
    # transformers makes something up for what is not there
    for names in (("config.json",), ("tokenizer.json", "vocab.json")):
        if not any((folder / name).is_file() for name in names):
            raise ModelError(f"{folder}: no CLIP model with a tokenizer: it has no {' or '.join(names)}")
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        if list(folder.glob("*.safetensors")):
            model = CLIPModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True, local_files_only=True)
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(derive_seed("scorer-init", options.seed))
                model = CLIPModel(CLIPConfig.from_pretrained(folder, local_files_only=True))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{folder}: no CLIP model with a tokenizer: {' '.join(str(error).split())[:200]}") from None
    ClipScorer(model, tokenizer, str(folder))  # checks that tokenizer and model fit
    return model, tokenizer


def _chosen(seed: int, step: int, count: int, batch: int) -> list[int]:
    """The pairs of a step: each epoch is a new order of all; a function of seed and step."""
    places = range(step * batch, (step + 1) * batch)
    orders = {}
    for epoch in {place // count for place in places}:
        stream = torch.Generator("cpu").manual_seed(derive_seed("scorer-order", seed, epoch))
        orders[epoch] = torch.randperm(count, generator=stream).tolist()
    return [orders[place // count][place % count] for place in places]

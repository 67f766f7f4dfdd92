"""The evaluator `shapes_judge`: the geometric mean of the probabilities of all that a prompt states."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import CLIPTextModel, CLIPTokenizer

from selma_core.data import Atom, ImageItem, ItemAtoms, MetricInfo, Prompt, PromptScore, Summary
from selma_core.errors import ModelError
from selma_core.protocols import Context
from selma_plugins.shapes.judge.facts import probability, said
from selma_plugins.shapes.judge.options import JudgeOptions
from selma_plugins.shapes.judge.reader import found, load_judge
from selma_plugins.shapes.train.vae import to_tensor


class ShapesJudge:
    """`selma_core.protocols.Evaluator`. A spec is `{text, facts}`; an atom is one fact with its probability."""

    def __init__(self, options: JudgeOptions) -> None:
        self._options = options

    @property
    def info(self) -> MetricInfo:
        """One rule: the geometric mean."""
        return MetricInfo(name="shapes_judge", rules=("geometric",), judge="shapes_judge")

    def prepare(self, prompts: Sequence[Prompt], context: Context) -> dict[str, Any]:
        """Reads the prompts."""
        _, reader = load_judge(_folder(context, self._options.model))
        base = _folder(context, self._options.encoder)
        encoder = CLIPTextModel.from_pretrained(base / "text_encoder", dtype=torch.float32).eval()
        tokenizer = CLIPTokenizer.from_pretrained(base / "tokenizer")
        specs: dict[str, Any] = {}
        for start in range(0, len(prompts), 64):
            part = prompts[start : start + 64]
            facts = said(reader, encoder, tokenizer, [p.text for p in part])
            specs |= {p.id: {"text": p.text, "facts": f} for p, f in zip(part, facts, strict=True)}
        silent = sum(not spec["facts"] for spec in specs.values())
        if silent:
            context.warn(f"shapes_judge reads nothing in {silent} of {len(specs)} prompts; their images get no score")
        return specs

    @torch.no_grad()
    def observe(self, items: Sequence[ImageItem], specs: Mapping[str, Any], context: Context) -> Iterator[ItemAtoms]:
        """Reads the pictures (resized to 64 x 64 where they are not)."""
        reader, _ = load_judge(_folder(context, self._options.model))
        for start in range(0, len(items), self._options.batch_size):
            part = items[start : start + self._options.batch_size]
            looks = reader(to_tensor(np.stack([_pixels(item) for item in part])))
            grounds = looks.backgrounds.softmax(1).tolist()
            for item, objects, ground in zip(part, found(looks), grounds, strict=True):
                facts = specs[item.prompt.id]["facts"]
                atoms = [
                    Atom(key=" ".join(map(str, f)), value=probability(f, objects, ground), data={"category": f[0]})
                    for f in facts
                ]
                yield ItemAtoms(item_id=item.item_id, prompt_id=item.prompt.id, k=item.k, atoms=tuple(atoms))

    def score(self, atoms: Sequence[Atom], spec: Any, rule: str) -> float | None:
        """exp(mean log p) over what was observed."""
        seen = [atom.value for atom in atoms if atom.status == "ok" and atom.value is not None]
        return math.exp(fmean(map(math.log, seen))) if seen else None

    def aggregate(self, rows: Sequence[ItemAtoms], specs: Mapping[str, Any], rule: str) -> Summary:
        """The mean over prompts of the mean over their images, times 100."""
        by_prompt: dict[str, list[float]] = {}
        for row in rows:
            values = by_prompt.setdefault(row.prompt_id, [])
            value = self.score(row.atoms, specs.get(row.prompt_id), rule)
            values += [] if value is None else [value]
        prompts = tuple(
            PromptScore(prompt_id=name, value=fmean(values) if values else None, per_image=tuple(values))
            for name, values in by_prompt.items()
        )
        known = [p.value for p in prompts if p.value is not None]
        observed = sum(atom.status == "ok" for row in rows for atom in row.atoms)
        expected = sum(len(specs[row.prompt_id]["facts"]) for row in rows if row.prompt_id in specs)
        return Summary(
            metric="shapes_judge",
            rule=rule,
            judge="shapes_judge",
            mean=100 * fmean(known) if known else None,
            prompts=prompts,
            n_prompts=len(known),
            n_images=sum(len(p.per_image) for p in prompts),
            n_atoms=observed,
            coverage=observed / expected if expected else 1.0,
        )


def _folder(context: Context, name: str) -> Path:
    path = context.entry("models", name).path
    if path is None:
        raise ModelError(f"model '{name}' has no folder on this machine; type: selma models fetch {name}")
    return path


def _pixels(item: ImageItem) -> np.ndarray[Any, Any]:
    with Image.open(item.path) as image:
        rgb = image.convert("RGB")
        return np.asarray(rgb if rgb.size == (64, 64) else rgb.resize((64, 64), Image.Resampling.BOX))

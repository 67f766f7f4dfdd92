"""Adapters between evaluators (stored observations, then scores) and rewards (tensors of images -> rewards).

Imports no torch until a reward is called or an image is observed, so scores of stored tables need none.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selma_core.averages import average_over_prompts
from selma_core.data import Atom, ImageItem, ItemAtoms, MetricInfo, Prompt, Summary
from selma_core.errors import StageError
from selma_core.files import sha256_file
from selma_core.protocols import Context, Evaluator, Reward

if TYPE_CHECKING:
    import torch

KEY = "score"
"""The key of the one atom per image that `EvaluatorFromReward` stores."""


class RewardFromEvaluator:
    """Any evaluator as a `selma_core.protocols.Reward` without gradient: images make a round trip through PNG files.

    For reward-weighted training and rejection, where only the value counts. Values are rounded to 8 bits per channel
    first, as every stored image is.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        context: Context,
        rule: str | None = None,
        prompts: Mapping[str, Prompt] | None = None,
    ) -> None:
        """Args: rule = None takes the evaluator's first. prompts = text -> prompt, where the evaluator goes by ids."""
        self._evaluator, self._context = evaluator, context
        self._rule = rule or evaluator.info.rules[0]
        self._prompts = dict(prompts or {})
        self._specs: dict[str, Any] = {}

    @property
    def info(self) -> MetricInfo:
        """The evaluator's."""
        return self._evaluator.info

    def __call__(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """images [B, 3, H, W] in [0, 1], B prompts -> [B] fp32 on the same device; NaN where nothing was observed."""
        import torch

        named = [self._prompts.get(text) or Prompt(id=f"reward:{text}", text=text) for text in prompts]
        new = {prompt.id: prompt for prompt in named if prompt.id not in self._specs}
        if new:
            self._specs |= self._evaluator.prepare(list(new.values()), self._context)
        with tempfile.TemporaryDirectory(dir=self._context.workdir) as folder:
            items = [_stored(image, Path(folder), k, p) for k, (image, p) in enumerate(zip(images, named, strict=True))]
            rows = {row.item_id: row for row in self._evaluator.observe(items, self._specs, self._context)}
        values = [
            self._evaluator.score(rows[item.item_id].atoms, self._specs[item.prompt.id], self._rule) for item in items
        ]
        found = [float("nan") if value is None else value for value in values]
        return torch.tensor(found, dtype=torch.float32, device=images.device)


class EvaluatorFromReward:
    """Any reward as a `selma_core.protocols.Evaluator`: one atom `score` per image, its value is the reward.

    Images are given to the reward one at a time, at their own size, so an image's value depends on nothing else.
    """

    def __init__(self, reward: Reward) -> None:
        self._reward = reward

    @property
    def info(self) -> MetricInfo:
        """The reward's."""
        return self._reward.info

    def prepare(self, prompts: Sequence[Prompt], context: Context) -> Mapping[str, Any]:
        """A spec is `{text, groups}`."""
        return {prompt.id: text_spec(prompt) for prompt in prompts}

    def observe(self, items: Sequence[ImageItem], specs: Mapping[str, Any], context: Context) -> Iterator[ItemAtoms]:
        """One atom per image; a reward that is not finite is an error."""
        import torch

        for item in items:
            image = _read(item.path).to(context.device)
            with torch.no_grad():
                value = self._reward(image[None], [specs[item.prompt.id]["text"]])
            if value.shape != (1,):
                raise StageError(f"reward '{self.info.name}' gave {tuple(value.shape)} for one image, must be (1,)")
            atom = score_atom(float(value))
            yield ItemAtoms(item_id=item.item_id, prompt_id=item.prompt.id, k=item.k, atoms=(atom,))

    def score(self, atoms: Sequence[Atom], spec: Any, rule: str) -> float | None:
        """The stored value."""
        return score_value(atoms)

    def aggregate(self, rows: Sequence[ItemAtoms], specs: Mapping[str, Any], rule: str) -> Summary:
        """The mean over prompts of the mean over their images."""
        info = self.info
        return average_over_prompts(
            rows, specs, lambda row, spec: self.score(row.atoms, spec, rule), info=info, rule=rule, judge=info.judge
        )


def text_spec(prompt: Prompt) -> dict[str, Any]:
    """The spec of an evaluator that needs the prompt only: `{text, groups}`, the group from the prompt's `meta`."""
    group = prompt.meta.get("group")
    return {"text": prompt.text, "groups": [str(group)] if group else []}


def score_atom(value: float, data: Mapping[str, Any] | None = None) -> Atom:
    """The atom `score`; one of status `error` when the value is not finite (JSON has no NaN, and it is no score)."""
    if not math.isfinite(value):
        return Atom(key=KEY, value=None, raw=f"the model gave {value}", status="error")
    return Atom(key=KEY, value=value, data=dict(data or {}))


def score_value(atoms: Sequence[Atom], component: str = "") -> float | None:
    """The value of the atom `score`, or the number `component` in its data; None when it was not observed."""
    found = next((atom for atom in atoms if atom.key == KEY and atom.status == "ok"), None)
    if found is None or not component:
        return None if found is None else found.value
    return float(found.data[component])


def _stored(image: torch.Tensor, folder: Path, k: int, prompt: Prompt) -> ImageItem:
    from PIL import Image

    pixels = image.detach().float().clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
    path = folder / f"{k}.png"
    Image.fromarray(pixels).save(path)
    return ImageItem(item_id=f"{prompt.id}-{k}", prompt=prompt, path=path, sha256=sha256_file(path), k=k)


def _read(path: Path) -> torch.Tensor:
    """[3, H, W] in [0, 1]."""
    import numpy as np
    import torch
    from PIL import Image

    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
    return torch.from_numpy(pixels / 255).permute(2, 0, 1)

"""The training loop with the adapter's three losses. Resumes bit by bit, as the loop it extends.

    loss = w_diffusion |denoiser(z_t, t, out) - target|^2 + w_prompt D(out, complex) + w_llm D(t, v)
           + w_keep |out - x|^2

with (out, t, l) = adapter(simple), x the simple prompt's own embedding and v the projected vector of the language
model. Source: arXiv 2305.05189, section 3.3. The embedding reaches the denoiser with its gradient, which the released
code cuts off. The last term is this project's, for pairs whose two prompts are the same: these need no adapter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import torch
from torch import Tensor, nn

from selma_core.protocols import Embeddings
from selma_core.seeds import derive_seed
from selma_plugins.diffusion.embeddings import EmbeddingCache
from selma_plugins.sur.losses import Distance
from selma_plugins.sur.network import Adapted, SurNetwork
from selma_plugins.sur.options import SurOptions
from selma_plugins.training.batches import Draws
from selma_plugins.training.families import Batch
from selma_plugins.training.loop import Loop
from selma_plugins.training.noise import Noised


@attrs.frozen(kw_only=True)
class Lesson:
    """What the adapter is taught beside the images.

    Attributes:
        network: the adapter, on the device. projection: from the teacher's width to the adapter's, None without one.
        complexes: the complex prompt of each image; embeddings: of these. vectors [N, D]: the teacher's, or None.
        alike [N] bool: its simple prompt is the same.
        masked: padding is left out. dropout_seed: of the run; a step's dropout depends on it and the step only.
    """

    network: SurNetwork
    projection: nn.Module | None
    complexes: Sequence[str]
    embeddings: EmbeddingCache
    vectors: Tensor | None
    alike: Tensor
    masked: bool
    dropout_seed: int


@attrs.define(kw_only=True)
class SurLoop(Loop):
    """`Loop` whose trained weights are the adapter's (and the projection's, and a LoRA's)."""

    settings: SurOptions
    lesson: Lesson
    sums: dict[str, Tensor] = attrs.field(factory=dict)
    terms: int = 0

    def _loss(self, draws: Draws, part: Tensor) -> Tensor:
        clean, batch_of = self.data.batch(draws, part, self.device)
        noise = (draws.noise[part] + self.options.noise_offset * draws.offset[part]).to(self.device)
        made = self.objective.noise(clean, noise, self.objective.levels(draws.level[part]).to(self.device))
        seed = derive_seed("sur-dropout", self.lesson.dropout_seed, self.step, int(part[0]))
        losses = self._losses(batch_of(made.noisy, made.timesteps), made, draws, part, seed)
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, torch.zeros((), device=self.device)) + value.detach()
        self.terms += 1
        return self._total(losses)

    def _loss_fixed(self, draws: Draws, part: Tensor) -> Tensor:
        clean, batch_of = self.data.batch(draws, part, self.device, heldout=True)
        levels = self.objective.within(draws.level[part]).to(self.device)
        made = self.objective.noise(clean, draws.noise[part].to(self.device), levels)
        losses = self._losses(batch_of(made.noisy, made.timesteps), made, draws, part, None)
        return self._total(losses).detach().cpu().expand(len(part))

    def _losses(self, batch: Batch, made: Noised, draws: Draws, part: Tensor, seed: int | None) -> dict[str, Tensor]:
        """Each loss that has a weight; `seed` None = without dropout."""
        options = self.settings
        simple = batch.text.hidden.float()
        mask = batch.text.mask if self.lesson.masked else None
        adapted = self._adapted(simple, mask, seed)
        kept = (~draws.drop[part]).to(self.device)[:, None].expand(simple.shape[:2])  # a dropped prompt teaches nothing
        taught = kept if mask is None else kept & mask
        distance = Distance(kind=options.kind, direction=options.direction, normalise=options.normalise)
        losses: dict[str, Tensor] = {}
        if options.diffusion_weight and not options.released:
            losses["diffusion"] = self._diffusion(batch, made, adapted.out)
        index = draws.index[part].tolist()
        if options.prompt_weight:
            target = self.lesson.embeddings.batch([self.lesson.complexes[i] for i in index]).hidden
            student = adapted.out if options.prompt_target == "out" else adapted.delta
            losses["prompt"] = distance(student, target.to(self.device), taught)
        if options.keep_weight:
            alike = taught & self.lesson.alike[index].to(self.device)[:, None]
            losses["keep"] = Distance(kind="mse", normalise="mean")(adapted.out, simple, alike)
        if self.lesson.vectors is not None and self.lesson.projection is not None:
            vector = self.lesson.projection(self.lesson.vectors[index].to(self.device))
            losses["llm"] = distance(adapted.inner, vector[:, None], taught)
        return losses

    def _diffusion(self, batch: Batch, made: Noised, out: Tensor) -> Tensor:
        # `.to` keeps the gradient; building a new tensor from the values, as released, drops it.
        text = Embeddings(hidden=out.to(batch.text.hidden.dtype), mask=batch.text.mask)
        with self._precision():
            answer = self.predict(self.denoiser, attrs.evolve(batch, text=text))
        return ((answer.float() - made.target).square().flatten(1).mean(1) * made.weight).mean()

    def _adapted(self, hidden: Tensor, mask: Tensor | None, seed: int | None) -> Adapted:
        network = self.lesson.network
        if seed is None:
            network.eval()
            return network(hidden, mask)  # type: ignore[no-any-return]
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            network.train()
            found: Adapted = network(hidden, mask)
        network.eval()
        return found

    def _total(self, losses: Mapping[str, Tensor]) -> Tensor:
        options = self.settings
        weights = {
            "diffusion": options.diffusion_weight,
            "prompt": options.prompt_weight,
            "llm": options.llm_weight,
            "keep": options.keep_weight,
        }
        return torch.stack([weights[name] * value for name, value in losses.items()]).sum()

    def _log(self, window: Tensor, steps: int) -> None:
        super()._log(window, steps)
        self.rows[-1].update({name: float(value) / max(1, self.terms) for name, value in self.sums.items()})
        self.sums, self.terms = {}, 0

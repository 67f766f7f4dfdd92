"""The judge's training: pictures are scenes as drawn and as the autoencoder gives them back from noisy latents.

The second half is there because it will judge pictures of a diffusion model, which are not as clean as drawn ones.
Labels come from the scenes and captions; no oracle, no picture of a diffusion model and no benchmark is used.
"""

from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from attrs import frozen
from diffusers import AutoencoderKL
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from selma_plugins.shapes.captions import training_caption
from selma_plugins.shapes.judge.reader import CELL, GRID, ImageReader, Looks, TextReader, found, save_judge
from selma_plugins.shapes.render import pixels
from selma_plugins.shapes.scene import BACKGROUNDS, COLORS, SHAPES, SIZES, Scene, random_scene
from selma_plugins.shapes.train.clock import Clock
from selma_plugins.shapes.train.fit import Fit, Pace, trainable
from selma_plugins.shapes.train.latents import load_shards
from selma_plugins.shapes.train.text import encode, labels
from selma_plugins.shapes.train.vae import to_tensor

StepLoss = Callable[[], tuple[Tensor, Callable[[], float]]]
CENTRE_WEIGHT = 8.0
SEED = 2_000_000  # of the scenes, far from those of other parts


@frozen
class JudgeTraining:
    """Settings; `noise` is the largest spread of the noise on latents, whose own spread is 1."""

    work: Path
    out: Path
    seed: int = 0
    minutes: float = 8.0
    steps: int = 0
    batch: int = 48
    decoded: int = 8192
    noise: float = 0.4
    peak: float = 1.5e-3
    text_share: float = 0.2  # of the budget, for the heads that read prompts


@frozen
class Truth:
    """What scenes hold: shapes, colours and sizes by place (n, 16, 16), the class "none" of shapes where no centre is;
    backgrounds (n,)."""

    shapes: Tensor
    colors: Tensor
    sizes: Tensor
    backgrounds: Tensor


def truth_of(scenes: list[Scene]) -> Truth:
    """The labels of scenes; colour and size mean something only where a shape has its centre."""
    shapes = torch.full((len(scenes), GRID, GRID), len(SHAPES))
    colors, sizes = torch.zeros_like(shapes), torch.zeros_like(shapes)
    for row, scene in enumerate(scenes):
        for item in scene.objects:
            place = (row, item.cy // CELL, item.cx // CELL)
            shapes[place] = SHAPES.index(item.shape)
            colors[place], sizes[place] = COLORS.index(item.color), SIZES.index(item.size)
    return Truth(shapes, colors, sizes, torch.tensor([BACKGROUNDS.index(scene.background) for scene in scenes]))


def look_loss(looks: Looks, truth: Truth) -> Tensor:
    """Cross entropies: of shapes everywhere (centres are rare, so they weigh more), of the rest at centres."""
    at = truth.shapes < len(SHAPES)
    weight = torch.tensor([CENTRE_WEIGHT] * len(SHAPES) + [1.0])
    loss = F.cross_entropy(looks.shapes, truth.shapes, weight)
    loss = loss + F.cross_entropy(looks.colors.permute(0, 2, 3, 1)[at], truth.colors[at])
    loss = loss + F.cross_entropy(looks.sizes.permute(0, 2, 3, 1)[at], truth.sizes[at])
    return loss + 0.3 * F.cross_entropy(looks.backgrounds, truth.backgrounds)


def read_rightly(looks: Looks, truth: Truth) -> float:
    """Share of pictures of which every object is found, with the right shape, colour and size, and nothing else."""
    right = 0
    for row, objects in enumerate(found(looks, 0.5)):
        seen = sorted(tuple(map(_best, (one.shapes, one.colors, one.sizes))) for one in objects)
        places = (truth.shapes[row] < len(SHAPES)).nonzero().tolist()
        wanted = sorted(tuple(int(t[row, y, x]) for t in (truth.shapes, truth.colors, truth.sizes)) for y, x in places)
        right += seen == wanted
    return right / len(truth.backgrounds)


def _best(values: tuple[float, ...]) -> int:
    return max(range(len(values)), key=values.__getitem__)


@torch.no_grad()
def decoded_pictures(vae: AutoencoderKL, work: Path, count: int, noise: float) -> tuple[list[Scene], Tensor]:
    """Scenes and their pictures (n, 3, 64, 64) in [-1, 1] as half floats, back from latents with noise."""
    scenes, latents = load_shards(work, -(-count // 4096))
    generator, parts = torch.Generator().manual_seed(SEED), []
    for start in range(0, count, 32):
        part = latents[start : min(start + 32, count)].float() / vae.config.scaling_factor
        spread = noise * torch.rand(len(part), 1, 1, 1, generator=generator)
        parts.append(
            vae.decode(part + spread * torch.randn(part.shape, generator=generator)).sample.clamp(-1, 1).half()
        )
    return scenes[:count], torch.cat(parts)


def train(options: JudgeTraining, vae: AutoencoderKL, encoder: CLIPTextModel, tokenizer: CLIPTokenizer) -> None:
    """Trains both readers and writes the judge's folder."""
    torch.manual_seed(options.seed)
    text = _train_text(options, encoder.eval(), tokenizer)
    image = _train_image(options, vae.eval())
    save_judge(options.out, image, text)


def _fit(name: str, options: JudgeTraining, share: float, model: nn.Module, step_loss: StepLoss) -> None:
    clock = Clock(options.minutes * share, round(options.steps * share))
    fit = Fit(name, options.work / "judge.log", trainable(model), clock, Pace(options.peak))
    while fit.goes_on():
        fit.learn(*step_loss())


def _train_text(options: JudgeTraining, encoder: CLIPTextModel, tokenizer: CLIPTokenizer) -> TextReader:
    reader, rng = TextReader(encoder.config.hidden_size), Random(SEED + options.seed)
    names = (None, *BACKGROUNDS)

    def step() -> tuple[Tensor, Callable[[], float]]:
        pairs = [training_caption(random_scene(rng), rng, 0.0) for _ in range(options.batch)]
        wanted = torch.tensor([labels(said) for said, _ in pairs])
        grounds = torch.tensor([names.index(said.background) for said, _ in pairs])
        ids = encode(tokenizer, [caption for _, caption in pairs])
        with torch.no_grad():
            states = encoder(ids)[0]
        ends = states[torch.arange(len(ids)), (ids == tokenizer.eos_token_id).int().argmax(1)]
        parts, ground = reader(ends)
        loss = F.cross_entropy(ground, grounds)
        for place, part in enumerate(parts):
            loss = loss + F.cross_entropy(part.flatten(0, 1), wanted[:, :, place].flatten())
        read = torch.stack([part.argmax(2) for part in parts], dim=2)
        return loss, lambda: float((read == wanted).flatten(1).all(1).float().mean())

    _fit("judge, prompts", options, options.text_share, reader, step)
    return reader


def _train_image(options: JudgeTraining, vae: AutoencoderKL) -> ImageReader:
    reader, rng = ImageReader(), Random(SEED + 1 + options.seed)
    scenes, pictures = decoded_pictures(vae, options.work, options.decoded, options.noise)

    def step() -> tuple[Tensor, Callable[[], float]]:
        picks = [rng.randrange(len(scenes)) for _ in range(options.batch // 2)]
        fresh = [random_scene(rng) for _ in range(options.batch - len(picks))]
        drawn = to_tensor(np.stack([pixels(scene) for scene in fresh]))
        batch = torch.cat([pictures[picks].float(), drawn])
        truth = truth_of([*(scenes[i] for i in picks), *fresh])
        looks = reader(batch + 0.03 * torch.randn_like(batch))
        return look_loss(looks, truth), lambda: read_rightly(looks, truth)

    _fit("judge, pictures", options, 1 - options.text_share, reader, step)
    return reader

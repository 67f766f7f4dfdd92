"""The training of `shapes_clip`, a CLIP of the world: pictures and captions as unit vectors, learnt by contrast.

The text tower is that of a finished model, and stays; only its projection learns. A vision transformer this small would
learn slowly from captions alone what a star is, so a linear head must also say what is at each place, with the scene as
teacher, as in `layout.py`; it is thrown away. Against each picture stand the captions of the others and one that is
nearly right. Neither the oracle nor another judge takes part.
"""

from functools import partial
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F
from attrs import frozen
from torch import Generator, Tensor, nn
from transformers import CLIPConfig, CLIPModel, CLIPTextModel, CLIPTokenizer

from selma_plugins.preference.pixels import normalise
from selma_plugins.shapes.captions import style_for, trim, write
from selma_plugins.shapes.corruption import corrupt
from selma_plugins.shapes.scene import CANVAS, Scene, random_scene
from selma_plugins.shapes.spec import Spec, describe
from selma_plugins.shapes.train import checkpoint
from selma_plugins.shapes.train.clock import Clock, say
from selma_plugins.shapes.train.degrade import degrade
from selma_plugins.shapes.train.fit import Fit, Pace, trainable
from selma_plugins.shapes.train.layout import LOOKS, layouts
from selma_plugins.shapes.train.redraw import Pool, drawn_batch, redrawn
from selma_plugins.shapes.train.text import encode

SEED = 11_000_000  # of the scenes, far from those of other parts
RAMP = 0.4  # of the budget, in which pictures go from clean to spoilt
KEEP = 250  # steps between checkpoints
TRIES = 4  # to find a caption that is nearly right
WIDTH, PATCH = 128, 8
PROJECTION = 128  # a caption's counts, colours, sizes and roles of six shapes are read off its end mark linearly


@frozen
class ClipTraining:
    """Settings. Attributes: base = a finished model folder of the world, for its text encoder and its hand."""

    work: Path
    out: Path
    base: Path
    seed: int = 0
    minutes: float = 20.0
    steps: int = 0
    batch: int = 48
    pool: int = 1536  # pictures that pass through the base
    share: float = 0.4  # of a batch from there
    peak: float = 1.5e-3


@frozen
class Lesson:
    """A batch of b pictures (b, 3, 64, 64) in [-1, 1], their layout (b, 3, 16, 16) in classes, and 2 b captions: the
    right ones, then for each picture one that is nearly right; `near` (b,) says where there is one."""

    pictures: Tensor
    layout: Tensor
    captions: list[str]
    near: Tensor


def build(text: CLIPTextModel) -> CLIPModel:
    """A CLIP with a given text tower and a vision transformer of four layers; the text tower takes no gradient."""
    config = CLIPConfig(
        text_config={**text.config.to_dict(), "projection_dim": PROJECTION},
        vision_config={
            "hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": 4, "num_attention_heads": 4,
            "image_size": CANVAS, "patch_size": PATCH, "projection_dim": PROJECTION,
        },
        projection_dim=PROJECTION,
    )  # fmt: skip
    model = CLIPModel(config)
    model.text_model.load_state_dict(text.state_dict())
    model.text_model.requires_grad_(False)
    return model


class Student(nn.Module):
    """The network and the head of its lesson in layout."""

    def __init__(self, text: CLIPTextModel) -> None:
        super().__init__()
        self.clip = build(text)
        self.layout = nn.ConvTranspose2d(WIDTH, sum(LOOKS), 2, stride=2)  # 8 x 8 patches to 16 x 16 places

    def forward(self, lesson: Lesson, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Similarities (b, 2 b) of pictures and captions, and the loss of the lesson in layout; ids (2 b, 48)."""
        seen = self.clip.vision_model(pixel_values=normalise((lesson.pictures + 1) / 2))
        images = F.normalize(self.clip.visual_projection(seen.pooler_output), dim=-1)
        texts = F.normalize(self.clip.text_projection(self.clip.text_model(ids).pooler_output), dim=-1)
        side = CANVAS // PATCH
        places = seen.last_hidden_state[:, 1:].transpose(1, 2).unflatten(2, (side, side))
        guesses = self.layout(places).split(LOOKS, dim=1)
        losses = [F.cross_entropy(guess, lesson.layout[:, i].long()) for i, guess in enumerate(guesses)]
        return self.clip.logit_scale.exp() * images @ texts.T, torch.stack(losses).sum()


def contrast(logits: Tensor, near: Tensor) -> tuple[Tensor, float]:
    """CLIP's loss of similarities (b, 2 b), and the share of pictures that prefer their own caption to the wrong one.

    Pictures choose among the right captions and their own nearly right one; captions among the pictures.
    """
    count = len(logits)
    right = torch.arange(count, device=logits.device)
    own, other = logits[:, :count], logits[:, count:].diagonal()
    rival = other.masked_fill(~near, -torch.inf)[:, None]
    loss = F.cross_entropy(torch.cat([own, rival], 1), right) + F.cross_entropy(own.T, right)
    told = (own.diagonal() > other)[near].float().mean()
    return loss / 2, float(told)


def train(options: ClipTraining) -> CLIPModel:
    """Trains (or goes on from a checkpoint in `work`) and writes the model's folder with its tokenizer."""
    torch.manual_seed(options.seed)
    text = CLIPTextModel.from_pretrained(options.base / "text_encoder", dtype=torch.float32)
    tokenizer = CLIPTokenizer.from_pretrained(options.base / "tokenizer")
    file, log = options.work / "clip.safetensors", options.work / "clip.log"
    student = Student(text)
    fit = Fit("clip", log, trainable(student), Clock(options.minutes, options.steps), Pace(options.peak, hold=0.4))
    pool = redrawn(options.base, options.pool, SEED + 1)
    say(log, f"clip: {options.pool} pictures through the base, {fit.clock.seconds:.0f} s")
    fit.resume(file, student)
    student.train()
    while fit.goes_on():
        lesson = lesson_of(options, pool, fit.step, min(1.0, fit.clock.progress(fit.step) / RAMP))
        logits, layout = student(lesson, encode(tokenizer, lesson.captions))
        loss, told = contrast(logits, lesson.near)
        fit.learn(loss + 0.5 * layout, partial(float, told))
        if fit.step % KEEP == 0:
            fit.keep(file, student)
    fit.keep(file, student)
    model = student.clip.eval()
    checkpoint.publish(options.out, partial(_write, model, tokenizer))
    return model


def _write(model: CLIPModel, tokenizer: CLIPTokenizer, folder: Path) -> None:
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    model.float()


def lesson_of(options: ClipTraining, pool: Pool, step: int, strength: float) -> Lesson:
    """The batch of a step: the same for the same seed and step, so that a resumed training sees what it would have."""
    rng = Random(f"{SEED + options.seed} {step}")
    generator = Generator().manual_seed(rng.getrandbits(48))
    picks = [rng.randrange(len(pool.scenes)) for _ in range(round(options.batch * options.share * strength))]
    scenes: list[Scene] = [pool.scenes[pick] for pick in picks]
    # What a model drew is spoilt already.
    parts = [degrade(pool.pictures[picks].float(), 0.4 * strength, generator)] if picks else []
    fresh = [random_scene(rng) for _ in range(options.batch - len(scenes))]
    parts.append(degrade(drawn_batch(fresh), strength, generator))
    scenes += fresh
    said = [trim(describe(scene), rng) for scene in scenes]
    wrong = [nearly(spec, rng) for spec in said]
    captions = [write(spec, style_for(spec, rng), rng) for spec in (*said, *wrong)]
    near = torch.tensor([one != other for one, other in zip(said, wrong, strict=True)])
    return Lesson(torch.cat(parts), layouts(scenes), captions, near)


def nearly(spec: Spec, rng: Random) -> Spec:
    """What a wrong caption might say instead; the same where none of a few mistakes changes anything."""
    for _ in range(TRIES):
        wrong = corrupt(spec, rng)
        if wrong != spec:
            return wrong
    return spec

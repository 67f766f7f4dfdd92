"""The training of `shapes_vqa`: pictures of scenes, most of them spoilt, and questions with answers read off the scene.

Answers alone teach slowly what a star is, so there are two more lessons with the scene as teacher: a linear head must
say what is at each place, as in `layout.py` (it is thrown away), and gates must open where a question points
(`gates.py`).
Neither the oracle nor `shapes_judge` takes part, and scenes, seeds and lessons are others than that judge's.
"""

from functools import partial
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F
from attrs import frozen
from torch import Generator, Tensor, nn

from selma_plugins.shapes.scene import Scene
from selma_plugins.shapes.train.asking import any_scene, ask
from selma_plugins.shapes.train.clock import Clock, say
from selma_plugins.shapes.train.degrade import degrade
from selma_plugins.shapes.train.fit import Fit, Pace, trainable
from selma_plugins.shapes.train.gates import directions, gate_loss, targets
from selma_plugins.shapes.train.layout import LOOKS, layouts
from selma_plugins.shapes.train.redraw import Pool, decoded, drawn_batch, redrawn
from selma_plugins.shapes.vqa.network import VqaNet, encode, padded, save_net

SEED = 7_000_000  # of the scenes, far from those of other parts
RAMP = 0.4  # of the budget, in which pictures go from clean to spoilt
KEEP = 250  # steps between checkpoints


@frozen
class VqaTraining:
    """Settings. Attributes: base = a finished model folder of the world, whose hand some pictures are in."""

    work: Path
    out: Path
    base: Path
    seed: int = 0
    minutes: float = 11.0
    steps: int = 0
    batch: int = 32
    questions: int = 12  # a picture
    pool: int = 768  # pictures of each of the two sorts that pass through the base
    share: float = 0.4  # of a batch from there
    peak: float = 3e-3


@frozen
class Lesson:
    """A batch: pictures (b, 3, 64, 64), questions (b, q, words), answers (b, q) in {0, 1}, layout (b, 3, 16, 16)
    classes, gates (b, q, 4, 256) in {0, 1}, compass (b, q, 2).
    """

    pictures: Tensor
    questions: Tensor
    answers: Tensor
    layout: Tensor
    gates: Tensor
    compass: Tensor


class Student(nn.Module):
    """The network and the head of its lesson in layout."""

    def __init__(self) -> None:
        super().__init__()
        self.net = VqaNet()
        self.layout = nn.Conv2d(self.net.settings["width"], sum(LOOKS), 1)

    def forward(self, lesson: Lesson) -> tuple[Tensor, Tensor]:
        """Logits of "yes" (b, q), and the loss of the other lessons."""
        features = self.net.body(lesson.pictures)
        guesses = self.layout(features).split(LOOKS, dim=1)
        losses = [F.cross_entropy(guess, lesson.layout[:, i].long()) for i, guess in enumerate(guesses)]
        found = self.net.meet(features, lesson.questions)
        compass = F.mse_loss(found.compass, lesson.compass)
        return found.answers, 0.5 * torch.stack(losses).sum() + gate_loss(found.gates, lesson.gates) + compass


def train(options: VqaTraining) -> VqaNet:
    """Trains (or goes on from a checkpoint in `work`) and writes the model's folder."""
    torch.manual_seed(options.seed)
    file, log = options.work / "vqa.safetensors", options.work / "vqa.log"
    student = Student()
    fit = Fit("vqa", log, trainable(student), Clock(options.minutes, options.steps), Pace(options.peak, hold=0.4))
    pools = [redrawn(options.base, options.pool, SEED + 1), decoded(options.base, options.pool, SEED + 2)]
    say(log, f"vqa: {2 * options.pool} pictures through the base, {fit.clock.seconds:.0f} s")
    fit.resume(file, student)
    student.train()
    while fit.goes_on():
        lesson = lesson_of(options, pools, fit.step, min(1.0, fit.clock.progress(fit.step) / RAMP))
        logits, others = student(lesson)
        right = float(((logits > 0) == (lesson.answers > 0.5)).float().mean())
        answers = F.binary_cross_entropy_with_logits(logits, lesson.answers)
        fit.learn(answers + others, partial(float, right))
        if fit.step % KEEP == 0:
            fit.keep(file, student)
    fit.keep(file, student)
    net = student.net.eval()
    save_net(options.out, net)
    return net


def lesson_of(options: VqaTraining, pools: list[Pool], step: int, strength: float) -> Lesson:
    """The batch of a step: the same for the same seed and step, so that a resumed training sees what it would have."""
    rng = Random(f"{SEED + options.seed} {step}")
    generator = Generator().manual_seed(rng.getrandbits(48))
    scenes: list[Scene] = []
    parts: list[Tensor] = []
    for pool in pools:
        picks = [rng.randrange(len(pool.scenes)) for _ in range(round(options.batch * options.share * strength / 2))]
        scenes += [pool.scenes[pick] for pick in picks]
        # What a model drew is spoilt already.
        parts += [degrade(pool.pictures[picks].float(), 0.4 * strength, generator)] if picks else []
    fresh = [any_scene(rng) for _ in range(options.batch - len(scenes))]
    parts.append(degrade(drawn_batch(fresh), strength, generator))
    scenes += fresh
    asked = [[ask(scene, rng) for _ in range(options.questions)] for scene in scenes]
    words = torch.stack([padded([encode(one.text) for one, _ in row]) for row in asked])
    answers = torch.tensor([[float(answer) for _, answer in row] for row in asked])
    plain = [[one for one, _ in row] for row in asked]
    lessons = layouts(scenes), targets(scenes, plain), directions(plain)
    return Lesson(torch.cat(parts), words, answers, *lessons)

"""How often a `shapes_vqa` folder is right on held-out scenes, per class of question and right answer.

``python -m selma_plugins.shapes.train.evaluate_vqa FOLDER [--model BASE]`` prints it for scenes as rendered, spoilt as
in training and, with a finished model of the world, as that model draws them (from a part of its noise).
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import torch
from attrs import frozen
from torch import Generator, Tensor

from selma_plugins.shapes.questions import questions_for
from selma_plugins.shapes.scene import BACKGROUNDS, COLORS, RELATIONS, SHAPES, SIZES, Scene, random_scene
from selma_plugins.shapes.spec import describe
from selma_plugins.shapes.train.asking import COUNTS, Ask
from selma_plugins.shapes.train.degrade import degrade
from selma_plugins.shapes.train.redraw import drawn_batch, redrawn
from selma_plugins.shapes.vqa.network import VqaNet, encode, load_net, padded

SEED = 9_000_000  # of the scenes, far from those of training
Marks = dict[tuple[str, bool], list[bool]]


@frozen
class Exam:
    """A scene with questions: (class, text, right answer)."""

    scene: Scene
    questions: tuple[tuple[str, str, bool], ...]


def exam_of(scene: Scene) -> Exam:
    """All questions that the world asks of a scene, and of each class all that it would ask and are not so."""
    spec = describe(scene)
    asked = [(q.category_detailed, q.question, True) for q in questions_for(spec)]
    wrong = [Ask("whole", shape=s) for s in SHAPES if all(g.shape != s for g in spec.groups)]
    wrong += [Ask("background", b) for b in BACKGROUNDS if b != scene.background]
    for g in spec.groups:
        plural = g.count > 1
        wrong += [Ask("color", c, g.shape, plural=plural) for c in COLORS if c != g.color]
        wrong += [Ask("size", s, g.shape, plural=plural) for s in SIZES if s != g.size]
        wrong += [Ask("count", n, g.shape) for n in COUNTS if n != g.count]
    for link in spec.relations:
        first, second = spec.groups[link.first].shape, spec.groups[link.second].shape
        wrong += [Ask("spatial", where, first, second) for where in RELATIONS if where != link.where]
    return Exam(scene, (*asked, *((one.kind, one.text, False) for one in wrong)))


def held_out(count: int, seed: int) -> list[Exam]:
    """Exams on scenes of the world that no training drew."""
    rng = Random(SEED + seed)
    return [exam_of(random_scene(rng)) for _ in range(count)]


@torch.no_grad()
def accuracy(
    net: VqaNet, exams: Sequence[Exam], spoil: Callable[[Tensor], Tensor] = lambda pictures: pictures
) -> Marks:
    """Right or wrong by (class, right answer), on the scenes as rendered and then spoilt."""
    return marks_on(net, exams, spoil(drawn_batch([exam.scene for exam in exams])))


@torch.no_grad()
def marks_on(net: VqaNet, exams: Sequence[Exam], pictures: Tensor) -> Marks:
    """The same on given pictures of the scenes, (n, 3, 64, 64) in [-1, 1]."""
    marks: Marks = defaultdict(list)
    for exam, picture in zip(exams, pictures, strict=True):
        logits = net(picture[None], padded([encode(text) for _, text, _ in exam.questions])[None])[0]
        for (kind, _, answer), logit in zip(exam.questions, logits.tolist(), strict=True):
            marks[kind, answer].append((logit > 0) == answer)
    return marks


def line(name: str, marks: Marks) -> str:
    """One line: all questions, then yes/no per class, in per cent."""
    right = [mark for each in marks.values() for mark in each]
    kinds = sorted({kind for kind, _ in marks})
    parts = [f"{kind} {_percent(marks[kind, True])}/{_percent(marks[kind, False])}" for kind in kinds]
    return f"{name}: {_percent(right)} of {len(right)}; yes/no: " + ", ".join(parts)


def _percent(marks: Sequence[bool]) -> str:
    return f"{100 * sum(marks) / len(marks):.1f}" if marks else "-"


def main() -> None:
    """Print one line a way of drawing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, help="folder of a finished model, to draw the scenes again with")
    parser.add_argument("--scenes", type=int, default=500)
    args = parser.parse_args()
    torch.set_num_threads(1)
    net, exams = load_net(args.folder), held_out(args.scenes, 0)
    print(line("rendered", accuracy(net, exams)), flush=True)
    for strength in (0.5, 1.0):
        generator = Generator().manual_seed(0)
        marks = accuracy(net, exams, lambda x, s=strength, g=generator: degrade(x, s, g))  # type: ignore[misc]
        print(line(f"spoilt, strength {strength:g}", marks), flush=True)
    for strength in (0.25, 0.45) if args.model else ():
        pool = redrawn(args.model, min(args.scenes, 256), SEED, (strength,))
        marks = marks_on(net, [exam_of(scene) for scene in pool.scenes], pool.pictures.float())
        print(line(f"drawn again, strength {strength:g}", marks), flush=True)


if __name__ == "__main__":
    main()

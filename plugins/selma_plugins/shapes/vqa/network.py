"""The network of `shapes_vqa`: a CNN for the picture, a small one for the question's words, gates where they meet.

The question sets a few gates, each open or closed at each place of the 16 x 16 feature map (attention that need not
sum to one, so that it can count). How far a gate is open in all, where the centre of what it lets through lies and what
that looks like is all that the answer is made of, by layers whose scale and shift the question sets (FiLM, arXiv
1709.07871); and how far it is from the second gate's centre to the first's in the direction that the question names.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import attrs
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from selma_plugins.shapes.scene import BACKGROUNDS, COLORS, SHAPES, SIZES
from selma_plugins.shapes.words import NUMBERS, PLURALS, split

WEIGHTS, CONFIG = "model.safetensors", "config.json"
GLUE = ("is", "are", "there", "a", "the", "to", "left", "right", "of", "above", "below", "background", "?")
WORDS = (*GLUE, *SHAPES, *PLURALS.values(), *COLORS, *SIZES, *BACKGROUNDS, *(words[0] for words in NUMBERS.values()))
PAD = len(WORDS)
LONGEST = 12  # words of a question
GRID = 16


def encode(question: str) -> list[int]:
    """The numbers of a question's words.

    Raises:
        ValueError: for a word that the world's questions do not have, or a question that is too long.
    """
    words = split(question)
    unknown = [word for word in words if word not in WORDS]
    if unknown or len(words) > LONGEST:
        why = f"the word '{unknown[0]}'" if unknown else "its length"
        raise ValueError(f"shapes_vqa cannot read the question {question!r}: {why}")
    return [WORDS.index(word) for word in words]


def padded(questions: Sequence[Sequence[int]]) -> Tensor:
    """Word numbers (n, LONGEST), padded in front: the same words then stand in the same places."""
    return torch.tensor([[PAD] * (LONGEST - len(q)) + list(q) for q in questions], dtype=torch.long)


def _body(width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    half = width // 2
    for into, out, stride, apart in ((3, half, 2, 1), (half, width, 2, 1), *((width, width, 1, d) for d in (1, 2, 1))):
        layers += [nn.Conv2d(into, out, 3, stride, apart, apart, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
    return nn.Sequential(*layers)


@attrs.frozen
class Meeting:
    """What comes of features and questions: logits of "yes" (b, q); of the gates (b, q, gates, 256); the direction that
    a question asks about, x and y (b, q, 2)."""

    answers: Tensor
    gates: Tensor
    compass: Tensor


class VqaNet(nn.Module):
    """Pictures (b, 3, 64, 64) in [-1, 1] and q questions of each (b, q, LONGEST) -> logits of "yes" (b, q)."""

    def __init__(self, width: int = 64, gates: int = 6) -> None:
        super().__init__()
        self.settings = {"width": width, "gates": gates}
        self.gates = gates
        self.body = _body(width)
        self.words = nn.Embedding(len(WORDS) + 1, 24, padding_idx=PAD)
        self.reader = nn.Sequential(nn.Linear(LONGEST * 24, 128), nn.ReLU(), nn.Linear(128, 96), nn.ReLU())
        self.look = nn.Linear(96, gates * (width + 1))
        self.compass = nn.Linear(96, 2)
        self.modulate = nn.Linear(96, 2 * 128)
        self.found = nn.Linear(gates * (width + 4) + 96 + 2, 128)
        self.answer = nn.Sequential(nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 1))
        step = (torch.arange(GRID) + 0.5) * 2 / GRID - 1
        places = torch.stack(torch.meshgrid(step, step, indexing="xy"))  # x, y in [-1, 1], (2, 16, 16)
        self.register_buffer("places", places.flatten(1).T.contiguous(), persistent=False)

    def forward(self, pictures: Tensor, questions: Tensor) -> Tensor:
        """Logits; the picture is read once for all of its questions."""
        return self.meet(self.body(pictures), questions).answers

    def meet(self, features: Tensor, questions: Tensor) -> Meeting:
        """What comes of the body's features (b, width, 16, 16)."""
        b, q, _ = questions.shape
        assert isinstance(self.places, Tensor)
        asked = self.reader(self.words(questions).flatten(2))  # (b, q, 96)
        wanted = self.look(asked).view(b, q * self.gates, -1)
        flat = features.flatten(2)  # (b, width, places)
        gates = wanted[..., :-1] @ flat + wanted[..., -1:] - 2.0  # (b, q * gates, places)
        open_ = torch.sigmoid(gates)
        mass = open_.sum(2, keepdim=True)
        share = open_ / (mass + 0.1)
        looks, centres = share @ flat.transpose(1, 2), share @ self.places
        found = torch.cat([looks, 2 * centres, mass / 16, open_.amax(2, keepdim=True)], dim=2).view(b, q, -1)
        compass = self.compass(asked)
        way = centres.view(b, q, self.gates, 2)
        found = torch.cat([found, asked, _along(way[:, :, 0] - way[:, :, 1], compass)], dim=2)
        scale, shift = self.modulate(asked).chunk(2, dim=2)
        answers = self.answer(self.found(found) * (1 + scale) + shift)[..., 0]
        return Meeting(answers, gates.view(b, q, self.gates, -1), compass)


def _along(way: Tensor, compass: Tensor) -> Tensor:
    """How far a way (..., 2) goes in a direction, and how far across it; (..., 2)."""
    across = way[..., 0] * compass[..., 1] - way[..., 1] * compass[..., 0]
    return 2 * torch.stack([(way * compass).sum(-1), across.abs()], dim=-1)


def save_net(folder: Path, net: VqaNet) -> None:
    """Writes weights in half precision and what is needed to build the network again."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.half() if value.is_floating_point() else value for name, value in net.state_dict().items()}
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / WEIGHTS, metadata={"format": "pt"})
    config = {"model_type": "shapes_vqa", **net.settings, "words": WORDS}
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def load_net(folder: Path) -> VqaNet:
    """The network in fp32, for answering only.

    Raises:
        OSError: files are missing. ValueError: they are of other questions than this version's.
    """
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if config.get("model_type") != "shapes_vqa" or tuple(config["words"]) != WORDS:
        raise ValueError(f"{folder} holds no shapes_vqa model for this version's questions")
    net = VqaNet(width=config["width"], gates=config["gates"])
    tensors = load_file(folder / WEIGHTS)
    net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
    return net.eval().requires_grad_(False)

"""The text encoder of both models, trained first and on its own, then frozen.

It learns to say, linearly in its hidden states, what a caption says: at the end marks the count,
colour, size and role of each shape and the background; at a noun the same for that noun. The
diffusion model then reads finished features and need not learn the language as well.
"""

from functools import partial
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F
from attrs import frozen
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from selma_plugins.shapes.captions import training_caption
from selma_plugins.shapes.corruption import OPPOSITE
from selma_plugins.shapes.scene import BACKGROUNDS, COLORS, RELATIONS, SHAPES, SIZES, random_scene
from selma_plugins.shapes.spec import Spec
from selma_plugins.shapes.train import checkpoint
from selma_plugins.shapes.train.clock import Clock
from selma_plugins.shapes.train.fit import Fit, Pace, trainable
from selma_plugins.shapes.train.tokenizer import MAX_TOKENS, write_tokenizer
from selma_plugins.shapes.words import PLURALS

WIDTH = 128
# Classes of each thing asked of a shape: count 0-4, colour or none, size or none, role or none.
PARTS = (5, len(COLORS) + 1, len(SIZES) + 1, len(RELATIONS) + 1)


@frozen
class TextOptions:
    """Settings of the text encoder's training."""

    work: Path
    seed: int = 0
    minutes: float = 13.0
    steps: int = 0
    batch: int = 48
    peak: float = 1.5e-3
    device: str = "cpu"
    again: bool = False  # train a finished one for another budget


def build(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """A causal three-layer CLIP text encoder of width 128."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=MAX_TOKENS,
        projection_dim=WIDTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def labels(spec: Spec) -> list[list[int]]:
    """What a spec says of each shape, (6, 4): classes of count, colour, size and role."""
    rows = [[0, 0, 0, 0] for _ in SHAPES]
    for group in spec.groups:
        row = rows[SHAPES.index(group.shape)]
        row[0] = group.count
        row[1] = COLORS.index(group.color) + 1 if group.color else 0
        row[2] = SIZES.index(group.size) + 1 if group.size else 0
    for link in spec.relations:
        first, second = spec.groups[link.first].shape, spec.groups[link.second].shape
        rows[SHAPES.index(first)][3] = RELATIONS.index(link.where) + 1
        rows[SHAPES.index(second)][3] = RELATIONS.index(OPPOSITE[link.where]) + 1
    return rows


class Reader(nn.Module):
    """The linear heads that make the encoder's states say what a caption says."""

    def __init__(self) -> None:
        super().__init__()
        self.at_end = nn.Linear(WIDTH, len(SHAPES) * sum(PARTS))
        self.at_noun = nn.Linear(WIDTH, sum(PARTS))
        self.backdrop = nn.Linear(WIDTH, len(BACKGROUNDS) + 1)

    def forward(self, states: Tensor, ends: Tensor, nouns: Tensor, wanted: Tensor) -> Tensor:
        """Mean loss over states (b, t, w), masks (b, t) of end marks, nouns as shape or -1."""
        b = len(states)
        end = self.at_end(states[torch.arange(b), ends]).view(b, len(SHAPES), sum(PARTS))
        loss = part_loss(end.flatten(0, 1), wanted.flatten(0, 1))
        row, at = (nouns >= 0).nonzero(as_tuple=True)
        own = wanted[row, nouns[row, at]]
        return loss + 0.3 * part_loss(self.at_noun(states[row, at]), own)


def part_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross entropies of the four parts, logits (n, sum(PARTS)), classes (n, 4)."""
    pieces = torch.split(logits, list(PARTS), dim=1)
    losses = [F.cross_entropy(p, wanted[:, i]) for i, p in enumerate(pieces)]
    return torch.stack(losses).sum()


def accuracy(reader: Reader, states: Tensor, ends: Tensor, wanted: Tensor) -> float:
    """Share of captions of which every class is read off rightly at the end mark."""
    b = len(states)
    logits = reader.at_end(states[torch.arange(b), ends]).view(b, len(SHAPES), sum(PARTS))
    read = torch.stack([p.argmax(-1) for p in torch.split(logits, list(PARTS), dim=2)], dim=2)
    return float((read == wanted).flatten(1).all(1).float().mean())


def caption_batch(count: int, rng: Random) -> tuple[list[str], Tensor, Tensor]:
    """Captions, their labels (n, 6, 4) and background classes (n,)."""
    pairs = [training_caption(random_scene(rng), rng) for _ in range(count)]
    wanted = torch.tensor([labels(said) for said, _ in pairs])
    names = (None, *BACKGROUNDS)
    grounds = torch.tensor([names.index(said.background) for said, _ in pairs])
    return [text for _, text in pairs], wanted, grounds


def encode(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Token ids (n, 48), padded as the pipeline pads."""
    ids: Tensor = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
    return ids


def noun_table(tokenizer: CLIPTokenizer) -> Tensor:
    """For each token id the index of the shape it names, or -1."""
    table = torch.full((len(tokenizer),), -1)
    for index, shape in enumerate(SHAPES):
        for word in (shape, PLURALS[shape]):
            table[tokenizer(word).input_ids[1]] = index
    return table


def train(options: TextOptions) -> tuple[CLIPTextModel, CLIPTokenizer]:
    """Train for the budget, save to `work/text` and `work/tokenizer`; a finished one is loaded."""
    tokenizer = write_tokenizer(options.work / "tokenizer")
    done = options.work / "text"
    if done.exists() and not options.again:
        return CLIPTextModel.from_pretrained(done), tokenizer
    torch.manual_seed(options.seed)
    rng, table = Random(options.seed + options.again), noun_table(tokenizer).to(options.device)
    encoder = CLIPTextModel.from_pretrained(done) if done.exists() else build(tokenizer)
    encoder, reader = encoder.to(options.device), Reader().to(options.device)
    pace = Pace(options.peak, warm=0.05, betas=(0.9, 0.98), every=50)
    clock = Clock(options.minutes, options.steps)
    fit = Fit("text", options.work / "text.log", trainable(encoder, reader), clock, pace)
    while fit.goes_on():
        texts, wanted, grounds = caption_batch(options.batch, rng)
        ids = encode(tokenizer, texts).to(options.device)
        states = encoder(ids)[0]
        # Any end mark must hold the whole, as the denoiser attends to all of the padding.
        first = (ids == tokenizer.eos_token_id).int().argmax(1)
        ends = first + (torch.rand(len(ids)) ** 2 * (MAX_TOKENS - first.cpu())).long().to(first)
        loss = reader(states, ends, table[ids], wanted.to(ids.device))
        ground = reader.backdrop(states[torch.arange(len(ids)), ends])
        right = partial(accuracy, reader, states, ends, wanted.to(ids.device))
        loss = loss + F.cross_entropy(ground, grounds.to(ids.device))
        fit.learn(loss, right)
    checkpoint.publish(done, encoder.cpu().eval().save_pretrained)
    return encoder, tokenizer

"""`shapes_teacher`: a tiny language model of the world, which has read narrative and plain descriptions of its scenes.

It reads each scene told twice, "someone left a sky ball : a blue circle .", so that what a narrative means is in its
hidden states: the language model whose understanding a SUR-adapter is taught. None of its scenes is of the benchmark.
"""

from pathlib import Path
from random import Random

import torch
from attrs import frozen
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from selma_plugins.shapes.grammar import SKILLS, held_out_texts, sample_prompts
from selma_plugins.shapes.narrative import lines, narratives
from selma_plugins.shapes.train.checkpoint import publish
from selma_plugins.shapes.train.clock import Clock
from selma_plugins.shapes.train.fit import Fit, Pace, trainable
from selma_plugins.shapes.train.tokenizer import MAX_TOKENS, write_tokenizer

KEEP = 100  # steps between checkpoints
IGNORED = -100  # labels of padding


@frozen
class TeacherTraining:
    """Settings. Attributes: texts = narrative lines, and half as many ordinary prompts of each skill."""

    work: Path
    out: Path
    seed: int = 0
    minutes: float = 4.0
    steps: int = 0
    texts: int = 3000
    batch: int = 32
    width: int = 128
    depth: int = 3
    peak: float = 2e-3


def train(options: TeacherTraining) -> LlamaForCausalLM:
    """Trains (or goes on from a checkpoint in `work`) and writes the model's folder, fp16, below 2 MB."""
    torch.manual_seed(options.seed)
    tokenizer = write_tokenizer(options.work / "teacher_tokenizer")
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=options.width,
            intermediate_size=2 * options.width,
            num_hidden_layers=options.depth,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=2 * MAX_TOKENS,
            tie_word_embeddings=False,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    file, log = options.work / "teacher.safetensors", options.work / "teacher.log"
    fit = Fit("teacher", log, trainable(model), Clock(options.minutes, options.steps), Pace(options.peak))
    fit.resume(file, model)
    rows = [tokenizer(text)["input_ids"][: 2 * MAX_TOKENS] for text in texts(options)]
    model.train()
    while fit.goes_on():
        picks = Random(f"teacher {options.seed} {fit.step}").sample(range(len(rows)), min(options.batch, len(rows)))
        ids, labels = padded([rows[pick] for pick in picks], tokenizer.eos_token_id)
        fit.learn(model(input_ids=ids, attention_mask=(labels != IGNORED).long(), labels=labels).loss)
        if fit.step % KEEP == 0:
            fit.keep(file, model)
    fit.keep(file, model)

    def write(folder: Path) -> None:
        model.half().save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    publish(options.out, write)
    return model.float().eval()


def texts(options: TeacherTraining) -> list[str]:
    """What it reads; nothing of a benchmark."""
    told = lines(narratives(options.texts, options.seed))
    each = options.texts // (2 * len(SKILLS))
    plain = [p.text for skill in SKILLS for p in sample_prompts(skill, each, options.seed, held_out_texts())]
    return told + plain


def padded(rows: list[list[int]], filler: int) -> tuple[Tensor, Tensor]:
    """Tokens [B, L] and labels [B, L], those of padding ignored."""
    length = max(map(len, rows))
    ids = torch.tensor([row + [filler] * (length - len(row)) for row in rows])
    labels = torch.tensor([row + [IGNORED] * (length - len(row)) for row in rows])
    return ids, labels

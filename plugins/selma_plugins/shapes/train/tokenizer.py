"""A CLIPTokenizer whose vocabulary holds every word of the world as one token."""

import itertools
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from transformers import CLIPTokenizer

from selma_plugins.shapes.words import VOCABULARY

MAX_TOKENS = 48
BEGIN, END = "<|startoftext|>", "<|endoftext|>"
END_OF_WORD = "</w>"
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,:;-'!?"

Pair = tuple[str, str]


def merges_for(words: Iterable[str]) -> list[Pair]:
    """Byte-pair merges, in order, that end only when each word is a single token."""
    pieces = [[*word[:-1], word[-1] + END_OF_WORD] for word in sorted(words)]
    merges: list[Pair] = []
    while True:
        pairs = Counter(pair for parts in pieces for pair in itertools.pairwise(parts))
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        pieces = [joined(parts, best) for parts in pieces]


def joined(parts: list[str], pair: Pair) -> list[str]:
    """`parts` with each occurrence of `pair` put together."""
    out: list[str] = []
    for part in parts:
        if out and (out[-1], part) == pair:
            out[-1] += part
        else:
            out.append(part)
    return out


def write_tokenizer(folder: Path) -> CLIPTokenizer:
    """Write the tokenizer's files to a folder and load it from there."""
    folder.mkdir(parents=True, exist_ok=True)
    merges = merges_for(VOCABULARY)
    tokens = [*CHARACTERS, *(c + END_OF_WORD for c in CHARACTERS), *(a + b for a, b in merges)]
    # Byte-level alphabets write these characters as themselves, so no mapping is needed.
    vocab = {token: index for index, token in enumerate([*dict.fromkeys(tokens), BEGIN, END])}
    (folder / "vocab.json").write_text(json.dumps(vocab, indent=0))
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    tokenizer = CLIPTokenizer(
        vocab=str(folder / "vocab.json"),
        merges=str(folder / "merges.txt"),
        bos_token=BEGIN,
        eos_token=END,
        unk_token=END,
        pad_token=END,
        model_max_length=MAX_TOKENS,
    )
    tokenizer.save_pretrained(folder)
    return tokenizer

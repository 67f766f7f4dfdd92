"""The tokenizer: one token a word, and training cuts nothing off."""

from pathlib import Path
from random import Random

import pytest

pytest.importorskip("transformers")

from selma_plugins.shapes.captions import training_caption
from selma_plugins.shapes.scene import random_scene
from selma_plugins.shapes.train.tokenizer import MAX_TOKENS, merges_for, write_tokenizer
from selma_plugins.shapes.words import VOCABULARY, split
from transformers import CLIPTokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return CLIPTokenizer.from_pretrained(folder)


def test_every_word_is_one_token(tokenizer: CLIPTokenizer) -> None:
    for word in sorted(VOCABULARY):
        assert len(tokenizer(word).input_ids) == 3, word


def test_captions_are_as_long_as_they_have_words(tokenizer: CLIPTokenizer) -> None:
    rng = Random(0)
    for _ in range(200):
        _, text = training_caption(random_scene(rng), rng)
        ids = tokenizer(text).input_ids
        assert len(ids) == len(split(text)) + 2 <= MAX_TOKENS - 2


def test_merges_leave_each_word_whole() -> None:
    merges = merges_for({"red", "ring", "rings"})
    assert {a + b for a, b in merges} >= {"red</w>", "ring</w>", "rings</w>"}

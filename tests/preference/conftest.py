"""Folders with small models, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from selma_core.testing import FakeContext
from tests.preference.blip_official import save_checkpoint
from tests.preference.support import clip_model, clip_tokenizer, context_of, entry


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    clip_model(clip_tokenizer(folder)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def reward_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ImageReward checkpoint as safetensors, and BERT's tokenizer beside it."""
    folder = tmp_path_factory.mktemp("imagereward")
    save_checkpoint(folder)
    return folder


@pytest.fixture
def context(tmp_path: Path, clip_folder: Path, reward_folder: Path) -> FakeContext:
    """Every model by the name that the options have as default."""
    clips = ("pickscore_v1", "clip_vit_h14", "clip_vit_b32", "denscore", "hpsv2", "hpsv21")
    weights = entry("imagereward", reward_folder / "ImageReward.safetensors")
    tokens = entry("bert_base_uncased", reward_folder / "tokenizer")
    return context_of(tmp_path, *(entry(name, clip_folder) for name in clips), weights, tokens)

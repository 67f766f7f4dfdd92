"""The CLIP that a scorer begins as, and the folder that it ends in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from selma_core.errors import ModelError
from selma_core.seeds import derive_seed
from selma_plugins.encoders.sentences import split
from selma_plugins.preference.clip import ClipScorer
from selma_plugins.preference.dense import DenseScorer, save_direction


def open_start(folder: Path, seed: int, *, random: bool) -> tuple[Any, Any]:
    """The CLIP model (fp32, on the CPU) and the tokenizer that training begins with.

    Args: random = weights at random, from the seed; the folder needs none.

    Raises:
        ModelError: the folder lacks configuration, tokenizer or weights, or they do not fit.
    """
    # transformers makes something up for what is not there
    for names in (("config.json",), ("tokenizer.json", "vocab.json")):
        if not any((folder / name).is_file() for name in names):
            raise ModelError(f"{folder}: no CLIP model with a tokenizer: it has no {' or '.join(names)}")
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        if not random:
            if not list(folder.glob("*.safetensors")):
                raise ModelError(f"{folder}: holds no weights (*.safetensors); to begin at random set random_start")
            model = CLIPModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True, local_files_only=True)
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(derive_seed("scorer-init", seed))
                model = CLIPModel(CLIPConfig.from_pretrained(folder, local_files_only=True))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{folder}: no CLIP model with a tokenizer: {' '.join(str(error).split())[:200]}") from None
    ClipScorer(model, tokenizer, str(folder))  # checks that tokenizer and model fit
    return model, tokenizer


def save_scorer(folder: Path, model: Any, tokenizer: Any, prompts: Sequence[str], how: str) -> None:
    """The model, its tokenizer, and the common direction of prompts (each the mean of its sentences)."""
    scorer = DenseScorer(model, tokenizer, "")
    means = torch.stack([scorer.features(split(text, how)).mean(0) for text in sorted(set(prompts))])
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    save_direction(folder, torch.nn.functional.normalize(means.mean(0), dim=0))

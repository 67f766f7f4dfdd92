"""A frozen T5 encoder beside the pipeline's own text encoders: whole prompts, a fixed number of rows, in fp32.

Without a mask, as LongAlign has it, the rows of words depend on the padding behind them, so the number of rows is part
of what an adapter was trained with. fp32, because T5 overflows in fp16 and its rows differ between fp16 and bf16.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoTokenizer, T5EncoderModel

from selma_core.errors import ModelError, UserError
from selma_core.pool import borrow
from selma_core.protocols import Context
from selma_plugins.chat.local import Weights, find_weights
from selma_plugins.diffusion.loading import first_line, without_bars

_AT_ONCE = 16
_VOCABULARIES = ("spiece.model", "tokenizer.json")


class T5Rows:
    """States of a T5 encoder.

    Args: model = registry name, folder, or hub:owner/name@commit; rows = of every prompt; masked = padding is not
        attended to; context = of the stage, None in plain Python use, where `model` is a folder.

    Raises:
        ModelError: there is no such model, or not on this machine.
    """

    def __init__(self, model: str, rows: int, *, masked: bool, context: Context | None) -> None:
        self._weights = find_weights(model, "", context)
        self._model, self._rows, self._masked, self._context = model, rows, masked, context
        _check(self._weights)
        self._tokenizer: Any = None

    @property
    def pin(self) -> str | None:
        """What the weights are: a commit or a digest; None in plain Python use."""
        return None if self._context is None else self._weights.pin

    @property
    def width(self) -> int:
        """E, from the config alone."""
        return int(_config(self._weights.folder)["d_model"])

    @torch.no_grad()
    def states(self, prompts: Sequence[str], device: torch.device) -> Tensor:
        """[B, rows, E] fp32: cut and padded to exactly `rows`.

        Raises:
            ModelError: the weights cannot be read, or are not all there.
        """
        model = self._loaded(device)
        tokenizer = self._reader()
        found = []
        for start in range(0, len(prompts), _AT_ONCE):
            ids = tokenizer(
                list(prompts[start : start + _AT_ONCE]),
                max_length=self._rows,
                padding="max_length",
                truncation=True,
                return_tensors="pt",
            ).to(device)
            # All ones is what no mask means; said, so that no version derives one from the padding.
            mask = ids["attention_mask"] if self._masked else torch.ones_like(ids["attention_mask"])
            found.append(last_states(model(input_ids=ids["input_ids"], attention_mask=mask)))
        return torch.cat(found)

    def usage(self, prompt: str) -> tuple[int, int]:
        """(tokens read, tokens cut off) of a prompt, without marks."""
        tokenizer = self._reader()
        marks = tokenizer.num_special_tokens_to_add()
        count = len(tokenizer(prompt, truncation=False, verbose=False)["input_ids"]) - marks
        used = min(count, self._rows - marks)
        return used, count - used

    def _reader(self) -> Any:
        if self._tokenizer is None:
            self._tokenizer = _load_tokenizer(self._weights.folder)
        return self._tokenizer

    def _loaded(self, device: torch.device) -> Any:
        key = self._weights.key("transformers:T5EncoderModel", "float32", str(device))
        return borrow(self._context, key, lambda: _load_model(self._weights.folder, device), self)


def last_states(out: Any) -> Tensor:
    """The last hidden states [B, L, E] of a model's output: an object of transformers, or a plain tuple."""
    named = getattr(out, "last_hidden_state", None)
    states: Tensor = out[0] if named is None else named
    return states


def _check(weights: Weights) -> None:
    if weights.gguf:
        raise ModelError(f"t5: {weights.folder / weights.gguf} is a GGUF file; give a folder with safetensors")
    kind = _config(weights.folder).get("model_type")
    if kind != "t5":
        raise UserError(f"t5: {weights.folder} holds a model of type '{kind}', not 't5'; give a T5, such as t5_large")


def _config(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"t5: {folder / 'config.json'} cannot be read ({error})") from None
    if not isinstance(found, dict):
        raise ModelError(f"t5: {folder / 'config.json'} is no JSON object")
    return found


def _load_tokenizer(folder: Path) -> Any:
    # From an empty folder transformers makes a tokenizer that knows no word, and says nothing.
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        raise ModelError(f"t5: {folder} holds no tokenizer ({' or '.join(_VOCABULARIES)})")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError, ImportError) as error:
        raise ModelError(f"t5: the tokenizer in {folder} cannot be read: {first_line(error)}") from error
    if tokenizer.pad_token_id is None:
        raise ModelError(f"t5: the tokenizer in {folder} has no padding token")
    return tokenizer


def _load_model(folder: Path, device: torch.device) -> Any:
    try:
        with without_bars():
            model, report = T5EncoderModel.from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"t5: {folder} cannot be loaded as a T5 encoder: {first_line(error)}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(f"t5: the weights in {folder} lack {missing[0]} ({len(missing)} missing)")
    return model.requires_grad_(False).eval().to(device)

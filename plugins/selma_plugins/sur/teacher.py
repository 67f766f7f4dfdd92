"""What a causal language model makes of a prompt: one vector, from the hidden states of one of its blocks.

The states are read by a hook on the block, so those of the last one are before the model's final norm, as in the
paper's code (`hidden_states[-1]` of transformers is after it). Source: arXiv 2305.05189, section 3.3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from selma_core.errors import ModelError, UserError
from selma_core.files import make_folder, write_bytes
from selma_core.pool import borrow
from selma_core.protocols import Context
from selma_plugins.chat.local import Weights, find_weights


@attrs.frozen(kw_only=True)
class Reading:
    """How a vector is read. Attributes: layer = block, from 0, or from the end if negative; pool = mean over the
    tokens, or the last one; drop_bos = without the mark of the beginning."""

    layer: int = -1
    pool: str = "mean"
    drop_bos: bool = False


class Teacher:
    """A language model of the registry, a folder, or a GGUF file; loaded when a vector is not in the cache.

    Args:
        model: as in the option `teacher`. reading: what is read. folder: of the cache, one file per prompt, named by
            the hash of model, reading and text.

    Raises:
        UnknownNameError, ModelError: there is no such model, or not on this machine.
    """

    def __init__(self, model: str, reading: Reading, context: Context | None, folder: Path) -> None:
        self._weights = find_weights(model, "", context)
        self._name, self._reading, self._context = model, reading, context
        self._folder = make_folder(folder)
        self._loaded: tuple[Any, Any] | None = None

    def vectors(self, texts: Sequence[str], progress: Callable[[int], None] = lambda _: None) -> Tensor:
        """[N, D], fp32, on the CPU: the vector of each text; D is the model's width.

        Raises:
            ModelError: the model cannot be read. UserError: it has no such layer.
        """
        found = []
        for number, text in enumerate(texts, 1):
            found.append(self._vector(text))
            progress(number)
        return torch.stack(found)

    def _vector(self, text: str) -> Tensor:
        key = f"{self._weights.pin}/{self._weights.gguf}\n{attrs.astuple(self._reading)}\n{text}"
        path = self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}.safetensors"
        if path.is_file():
            kept: Tensor = load(path.read_bytes())["vector"]
            return kept
        vector = self._read(text)
        write_bytes(path, save({"vector": vector}))
        return vector

    @torch.no_grad()
    def _read(self, text: str) -> Tensor:
        model, tokenizer = self._model()
        ids = tokenizer(text, return_tensors="pt")["input_ids"].to(model.device)
        states: list[Tensor] = []
        hook = _block(model, self._reading.layer, self._name).register_forward_hook(
            lambda _module, _given, out: states.append(out[0] if isinstance(out, tuple) else out)
        )
        try:
            model(input_ids=ids, use_cache=False)
        finally:
            hook.remove()
        tokens = states[0].reshape(ids.shape[1], -1).float()
        first = ids[0, 0].item()
        if self._reading.drop_bos and len(tokens) > 1 and first == tokenizer.bos_token_id:
            tokens = tokens[1:]
        return (tokens.mean(0) if self._reading.pool == "mean" else tokens[-1]).cpu()

    def _model(self) -> tuple[Any, Any]:
        if self._loaded is None:
            device = self._context.device if self._context else "cpu"
            dtype = "float32" if device == "cpu" else "float16"
            key = self._weights.key("sur_adapter:teacher", dtype, device)
            self._loaded = borrow(self._context, key, lambda: _load(self._weights, dtype, device), self)
        return self._loaded


def lesson(vectors: Tensor, *, standardise: bool, drop_dims: Sequence[int]) -> Tensor:
    """The vectors of a training set as they are taught: [N, D].

    A few dimensions of a language model are many times as large as the others and the same for every text, so they
    would be all that a softmax over the features sees.

    Args:
        standardise: mean 0 and deviation 1 of each dimension over the set. drop_dims: dimensions set to 0.

    Raises:
        UserError: a dimension that there is not.
    """
    width = vectors.shape[1]
    wrong = [dim for dim in drop_dims if not 0 <= dim < width]
    if wrong:
        raise UserError(f"drop_dims: {wrong[0]} is no dimension of the teacher, which has {width} (0 to {width - 1})")
    if standardise:
        vectors = (vectors - vectors.mean(0)) / vectors.std(0, unbiased=False).clamp(min=1e-6)
    keep = torch.ones(width)
    keep[list(drop_dims)] = 0
    return vectors * keep


def _load(weights: Weights, dtype: str, device: str) -> tuple[Any, Any]:
    where: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    if weights.gguf:
        where["gguf_file"] = weights.gguf
    try:
        tokenizer = AutoTokenizer.from_pretrained(weights.folder, **where)
        model = AutoModelForCausalLM.from_pretrained(
            weights.folder, dtype=getattr(torch, dtype), use_safetensors=True, **where
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{weights.folder} cannot be loaded as a causal language model: {line}") from error
    return model.requires_grad_(False).eval().to(device), tokenizer


def _block(model: Any, layer: int, name: str) -> nn.Module:
    """The block of a layer: of the list of modules that is as long as the config says."""
    count = int(model.config.num_hidden_layers)
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            if not -count <= layer < count:
                raise UserError(f"teacher_layer: '{name}' has no layer {layer}; it has {count} (0 to {count - 1})")
            found: nn.Module = module[layer]
            return found
    raise UserError(f"teacher: '{name}' ({type(model).__name__}) has no list of blocks to read a layer from")

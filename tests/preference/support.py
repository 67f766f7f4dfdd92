"""Small random models of the real classes, saved as the checkpoints of the real ones are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image

from selma_core.data import Entry, ImageItem, Prompt
from selma_core.files import sha256_file
from selma_core.testing import FakeContext

LENGTH = 16  # tokens that the small CLIP reads
SIDE = 32  # pixels that it sees
LETTERS = [chr(code) for code in range(97, 123)] + [".", "!", "?", ";", '"', ","]


def clip_tokenizer(folder: Path) -> int:
    """Saves a CLIP tokenizer of letters; the end of a text is its highest id, as in the real one. Returns its size."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = [*LETTERS, *[letter + "</w>" for letter in LETTERS], "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    made = transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), pad_token="<|endoftext|>")
    made.save_pretrained(folder)
    return len(tokens)


def clip_model(vocabulary: int, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    tower = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={**tower, "vocab_size": vocabulary, "max_position_embeddings": LENGTH, "eos_token_id": 2},
        vision_config={**tower, "image_size": SIDE, "patch_size": 8},
        projection_dim=24,
    )
    model = transformers.CLIPModel(config).eval()
    with torch.no_grad():  # the initial deviations are so small that every image looks alike
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and name != "logit_scale":
                weight.mul_(4.0)
    return model


def entry(name: str, path: Path, **data: Any) -> Entry:
    return Entry(section="models", name=name, provider="path", data=data, pin=f"sha256:{name:0>12}", path=path)


def context_of(tmp: Path, *entries: Entry) -> FakeContext:
    return FakeContext(workdir=tmp, entries={(one.section, one.name): one for one in entries})


def picture(path: Path, seed: int, size: tuple[int, int] = (48, 48), mode: str = "RGB") -> Path:
    """A smooth random picture: noise of 6 x 6 blown up. size = (width, height)."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, len(mode)), dtype=np.uint8)
    Image.fromarray(pixels, mode if mode == "RGBA" else None).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def items(folder: Path, texts: Sequence[str], images: int = 2, size: tuple[int, int] = (48, 48)) -> list[ImageItem]:
    """`images` pictures for each text."""
    found = []
    for n, text in enumerate(texts):
        prompt = Prompt(id=f"p{n}", text=text, meta={"group": "even" if n % 2 == 0 else "odd"})
        for k in range(images):
            path = picture(folder / f"p{n}-{k}.png", 10 * n + k, size)
            found.append(ImageItem(item_id=f"p{n}-{k}", prompt=prompt, path=path, sha256=sha256_file(path), k=k))
    return found


def observed(evaluator: Any, images: Sequence[ImageItem], context: FakeContext) -> tuple[dict[str, Any], list[Any]]:
    specs = evaluator.prepare(list({i.prompt.id: i.prompt for i in images}.values()), context)
    return specs, list(evaluator.observe(images, specs, context))

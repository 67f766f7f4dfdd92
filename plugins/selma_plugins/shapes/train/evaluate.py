"""Scores of a model folder per guidance: ``python -m selma_plugins.shapes.train.evaluate FOLDER``.

Official DSG rule: a question whose parent got a "no" counts as "no"; the score is the mean over
prompts of the mean over their questions, in 0-100.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from selma_plugins.shapes.grammar import ShapePrompt, benchmark_prompts, validation_prompts
from selma_plugins.shapes.oracle import answer
from selma_plugins.shapes.questions import questions_of

Marks = dict[str, list[float]]


def draw(
    pipe: StableDiffusionPipeline, texts: Sequence[str], guidance: float, steps: int, seed: int = 0
) -> list[Image.Image]:
    """One picture a text; the noise of the i-th is that of seed + i at every guidance."""
    images: list[Image.Image] = []
    for start in range(0, len(texts), 32):
        part = list(texts[start : start + 32])
        noise = [torch.Generator().manual_seed(seed + start + i) for i in range(len(part))]
        images += pipe(part, guidance_scale=guidance, num_inference_steps=steps, generator=noise).images
    return images


def marks_of(prompts: Sequence[ShapePrompt], images: Sequence[Image.Image]) -> Marks:
    """Scores in 0-100 by name: "dsg", "single" (prompts of one object), per skill and per category of question."""
    marks: Marks = defaultdict(list)
    for prompt, image in zip(prompts, images, strict=True):
        right: dict[int, bool] = {}
        for q in questions_of(prompt):
            held = all(right.get(parent, True) for parent in q.dependency)
            right[q.proposition_id] = held and answer(image, q.question) == "yes"
            marks[q.category_detailed].append(100.0 * right[q.proposition_id])
        score = 100 * fmean(right.values())
        marks["dsg"].append(score)
        marks[prompt.skill].append(score)
        if len(prompt.spec.groups) == 1 and prompt.spec.groups[0].count == 1:
            marks["single"].append(score)
            marks["single, all right"].append(100.0 * all(right.values()))
    return marks


def sheet(images: Sequence[Image.Image], columns: int = 15) -> Image.Image:
    """Pictures side by side, doubled in size."""
    rows = -(-len(images) // columns)
    page = Image.new("RGB", (columns * 132, rows * 132), (90, 60, 60))
    for i, image in enumerate(images):
        place = ((i % columns) * 132 + 2, (i // columns) * 132 + 2)
        page.paste(image.resize((128, 128), Image.Resampling.NEAREST), place)
    return page


def main() -> None:
    """Print one line a guidance; write the sheet of the first pictures where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, 2.0, 3.0, 5.0, 7.0])
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--benchmark", action="store_true", help="all of it, not validation")
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    pipe = StableDiffusionPipeline.from_pretrained(args.folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    prompts = benchmark_prompts() if args.benchmark else validation_prompts(args.prompts)
    for guidance in args.guidance:
        start = time.monotonic()
        images = draw(pipe, [p.text for p in prompts], guidance, args.steps, args.seed)
        spent = (time.monotonic() - start) / len(images)
        marks = marks_of(prompts, images)
        parts = " ".join(f"{k} {fmean(v):.1f}" for k, v in marks.items())
        print(f"guidance {guidance:g} steps {args.steps}: {parts} ({spent:.3f} s/image)", flush=True)
        if args.sheet:
            sheet(images[:60]).save(args.sheet.with_suffix(f".{guidance:g}.png"))


if __name__ == "__main__":
    main()

"""ROUGE-L filter against a plain one: `python benchmarks/rouge.py [prompts]`; prints times and their ratio.

Both take the same candidates in one run and must keep the same ones. The plain one fills the textbook table for every
pair; where the `rouge_score` package is installed, it is timed too, as the paper's released code uses it.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
from random import Random
from typing import Any

from selma_plugins.prompts.rouge import RougePool, tokens
from selma_plugins.shapes.grammar import SKILLS, sample_prompts

LIMIT = 0.8
Decide = Callable[[list[str]], list[str]]


def candidates(count: int) -> list[str]:
    """Prompts of all five skills of the shapes world, mixed."""
    texts = [p.text for skill in SKILLS for p in sample_prompts(skill, count // len(SKILLS), seed=0)]
    Random(0).shuffle(texts)
    return texts


def bounded(texts: list[str]) -> list[str]:
    """The filter of `llm_skills`."""
    pool, kept = RougePool(), []
    for text in texts:
        if pool.nearest(text, LIMIT) is None:
            pool.add(text)
            kept.append(text)
    return kept


def plain(texts: list[str]) -> list[str]:
    """Every candidate against every kept prompt, by the textbook table."""
    return _all_pairs(texts, tokens, _table_f1)


def package(texts: list[str]) -> list[str]:
    """As the released code, without its process pool: `rouge_score` for every pair."""
    from rouge_score import rouge_scorer

    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    return _all_pairs(texts, lambda text: text, lambda a, b: scorer.score(a, b)["rougeL"].fmeasure)


def _all_pairs(texts: list[str], prepare: Callable[[str], Any], f1: Callable[[Any, Any], float]) -> list[str]:
    kept: list[str] = []
    seen: list[Any] = []
    for text in texts:
        ready = prepare(text)
        if all(f1(ready, other) <= LIMIT + 1e-9 for other in seen):
            kept.append(text)
            seen.append(ready)
    return kept


def _table_f1(first: list[str], second: list[str]) -> float:
    row = [0] * (len(second) + 1)
    for x in first:
        corner = 0
        for j, y in enumerate(second, 1):
            corner, row[j] = row[j], corner + 1 if x == y else max(row[j], row[j - 1])
    return 2 * row[-1] / (len(first) + len(second))


def timed(decide: Decide, texts: list[str]) -> tuple[float, list[str]]:
    """CPU seconds and the kept texts."""
    started = time.process_time()
    kept = decide(texts)
    return time.process_time() - started, kept


def main() -> None:
    """Times all filters on the same candidates."""
    texts = candidates(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
    ours, kept = timed(bounded, texts)
    print(f"{len(texts)} candidates, {len(kept)} kept")
    print(f"{'bounded (llm_skills)':24} {ours:8.3f} s")
    others = {"plain table": plain}
    if importlib.util.find_spec("rouge_score"):
        others["rouge_score package"] = package
    for name, decide in others.items():
        seconds, same = timed(decide, texts)
        if same != kept:
            raise SystemExit(f"{name} keeps other prompts")
        print(f"{name:24} {seconds:8.3f} s   {seconds / ours:6.1f} times as long")


if __name__ == "__main__":
    main()

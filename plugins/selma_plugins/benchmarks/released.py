"""The formats that benchmarks were released in: DSG, TIFA, GenEval, GenEval 2, HPSv2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from selma_core.data import Entry
from selma_core.errors import ArtifactError
from selma_plugins.benchmarks.dsg_csv import read_benchmark
from selma_plugins.benchmarks.groups import group_of
from selma_plugins.benchmarks.item import BenchmarkItem, json_rows, parse_json, read_text, take

_TIFA_FIELDS = ("question", "choices", "answer", "element_type", "element")


def dsg_csv(path: Path, entry: Entry) -> Iterator[BenchmarkItem]:
    """One row per question; DPG-Bench has the same columns. Source: j-min/DSG, dsg/data."""
    for prompt in read_benchmark(attrs.evolve(entry, path=path)).values():
        questions = [attrs.asdict(question) for question in prompt.questions]
        yield BenchmarkItem(prompt.id, prompt.text, prompt.group, {"questions": questions})


def tifa_json(path: Path, entry: Entry) -> Iterator[BenchmarkItem]:
    """A list of `{id, caption}`, or of questions `{id, caption, question, choices, answer, element_type, element}`.

    Source: Yushi-Hu/tifa, tifa_v1.0.
    """
    captions: dict[str, str] = {}
    questions: dict[str, list[dict[str, Any]]] = {}
    for where, row in json_rows(path):
        key, caption = take(row, "id", where), take(row, "caption", where)
        if captions.setdefault(key, caption) != caption:
            raise ArtifactError(f"{where}: '{key}' has another caption than before")
        found = questions.setdefault(key, [])
        if "question" in row:
            take(row, "question", where), take(row, "choices", where, list), take(row, "answer", where)
            found.append({name: row[name] for name in _TIFA_FIELDS if name in row})
    for key, caption in captions.items():
        yield BenchmarkItem(key, caption, group_of(key, entry), {"questions": questions[key]})


def geneval_jsonl(path: Path, entry: Entry) -> Iterator[BenchmarkItem]:
    """One row per prompt `{tag, prompt, include, exclude?}`; ids are the folders of the image layout (`00000`).

    Source: djghosh13/geneval, prompts/evaluation_metadata.jsonl.
    """
    for index, (where, row) in enumerate(json_rows(path)):
        text, tag = take(row, "prompt", where), take(row, "tag", where)
        clauses: dict[str, Any] = {key: take(row, key, where, list) for key in ("include", "exclude") if key in row}
        yield BenchmarkItem(f"{index:05d}", text, tag, {"tag": tag, **clauses})


def geneval2_jsonl(path: Path, entry: Entry) -> Iterator[BenchmarkItem]:
    """One row per prompt `{prompt, atom_count, vqa_list: [[question, answer]], skills}`; groups are the atom counts.

    Source: facebookresearch/GenEval2, geneval2_data.jsonl. Ids are line numbers, from 00000.
    """
    for index, (where, row) in enumerate(json_rows(path)):
        text, atoms, skills = take(row, "prompt", where), row.get("atom_count"), row.get("skills") or []
        pairs = take(row, "vqa_list", where, list)
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            raise ArtifactError(f"{where}: 'vqa_list' must hold pairs of a question and its answer")
        questions = [{"question": str(q), "answer": str(a)} for q, a in pairs]
        group = f"{atoms} atoms" if isinstance(atoms, int) else ""
        data = {"questions": questions, "atom_count": atoms, "skills": skills}
        yield BenchmarkItem(f"{index:05d}", text, group, data)


def hps_json(path: Path, entry: Entry) -> Iterator[BenchmarkItem]:
    """A folder with a list of prompts per style (`anime.json`), one such file, or one object style -> prompts.

    Ids are those of the released image layout: `anime_00000` for `anime/00000.jpg`. Source: zhwang/HPDv2, benchmark.
    """
    for file in sorted(path.glob("*.json")) if path.is_dir() else [path]:
        content = parse_json(read_text(file), f"{file}")
        styles = content if isinstance(content, dict) else {file.stem: content}
        for style, texts in styles.items():
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise ArtifactError(f"{file}: must hold a list of prompts, or an object style -> list")
            for index, text in enumerate(texts):
                yield BenchmarkItem(f"{style}_{index:05d}", text.strip(), style)

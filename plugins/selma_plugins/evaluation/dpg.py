"""The DPG-Bench evaluator: DSG's questions about dense prompts, of single images or of four in a grid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import attrs

from selma_core.averages import average_over_prompts
from selma_core.data import Atom, ChatReply, ChatRequest, ImageItem, ItemAtoms, Message, MetricInfo, Prompt, Summary
from selma_core.protocols import ChatModel, Context
from selma_plugins.benchmarks.dsg_csv import BenchmarkPrompt, read_benchmark
from selma_plugins.benchmarks.matching import known_prompt
from selma_plugins.evaluation.answers import verdict
from selma_plugins.evaluation.asking import Asked, ask
from selma_plugins.evaluation.dpg_rules import Crop, rule_of
from selma_plugins.evaluation.options import DPG_RULES, DpgOptions
from selma_plugins.evaluation.rules import Question, Scores


class Dpg:
    """A spec is `{text, groups, crops, questions: [{id, question, dependency, category_*, first_row}]}`.

    The atoms of an image are its questions, or `crop/question` in a grid: crops count from 0, row by row.
    """

    def __init__(self, options: DpgOptions) -> None:
        self._options = options
        self._judge = options.judge.use

    @property
    def info(self) -> MetricInfo:
        """`judge` is the plugin's name until `observe` has met the judge, then its identity."""
        rules = tuple(sorted(DPG_RULES, key=lambda name: name != self._options.rule))
        scale = "share of questions answered yes, zeroed along their dependencies"
        return MetricInfo(name="dpg", version="1", rules=rules, judge=self._judge, scale=scale)

    def prepare(self, prompts: Sequence[Prompt], context: Context) -> dict[str, Any]:
        """prompt id -> spec.

        Raises:
            UnknownNameError: a prompt that the benchmark does not have. UserError: one that reads differently there.
        """
        name, crops = self._options.benchmark, self._options.grid**2
        benchmark = read_benchmark(context.entry("benchmarks", name))
        first = next(iter(benchmark), "")
        found = {prompt.id: known_prompt(prompt, benchmark, name) for prompt in prompts}
        return {key: spec_of(one, crops=crops, has_first_row=key == first) for key, one in found.items()}

    def observe(self, items: Sequence[ImageItem], specs: Mapping[str, Any], context: Context) -> Iterator[ItemAtoms]:
        """The answers about each image, or each crop of it.

        Raises:
            UserError: an image that is no grid although `grid` says so.
        """
        judge: ChatModel = context.component("chat_model", self._options.judge)
        self._judge = judge.identity
        folder = context.workdir / "crops"
        unclear = answered = 0

        def questions(item: ImageItem) -> list[Asked]:
            return self._questions(item, specs[item.prompt.id], folder)

        for item, row in zip(items, ask(judge, items, questions, _atom, self._options.batch), strict=True):
            ok = [atom for atom in row.atoms if atom.status == "ok"]
            answered += len(ok)
            unclear += sum(verdict(atom.raw or "") == "unclear" for atom in ok)
            yield row
            for crop in _crop_files(item, folder, self._options.grid):
                crop.unlink(missing_ok=True)
        if unclear:
            context.warn(f"{unclear} of {answered} answers are neither yes nor no; they score 0")

    def score(self, atoms: Sequence[Atom], spec: Any, rule: str) -> float | None:
        """The value of one image in [0, 1]."""
        return rule_of(rule).image(spec, crops_of(atoms, spec))

    def aggregate(self, rows: Sequence[ItemAtoms], specs: Mapping[str, Any], rule: str) -> Summary:
        """The mean over prompts; categories: the question classes (`broad`, `broad/detailed`) as the rule has them."""
        summary = average_over_prompts(
            rows,
            specs,
            lambda row, spec: self.score(row.atoms, spec, rule),
            info=self.info,
            rule=rule,
            judge=self._options.judge.use,
            expected=lambda spec: spec["crops"] * len(spec["questions"]),
        )
        return attrs.evolve(summary, categories=_categories(rows, specs, rule))

    def _questions(self, item: ImageItem, spec: Mapping[str, Any], folder: Path) -> list[Asked]:
        paths = [item.path]
        if self._options.grid > 1:
            from selma_plugins.evaluation.crops import cut

            paths = _crop_files(item, folder, self._options.grid)
            cut(item.path, paths, self._options.grid)
        return [
            Asked(key=_key(spec, crop, question["id"]), request=self._request(path, question), data=_data(question))
            for crop, path in enumerate(paths)
            for question in spec["questions"]
        ]

    def _request(self, path: Path, question: Mapping[str, Any]) -> ChatRequest:
        text = self._options.question_template.replace("{question}", question["question"])
        return ChatRequest(messages=(Message.user(path, text),), max_tokens=self._options.max_tokens)


def spec_of(prompt: BenchmarkPrompt, *, crops: int = 1, has_first_row: bool = False) -> dict[str, Any]:
    """The JSON that scores are computed with. `has_first_row`: the prompt's first question is the file's first row."""
    questions = [attrs.asdict(question) for question in prompt.questions]
    if has_first_row:
        questions[0]["first_row"] = True
    return {
        "text": prompt.text,
        "groups": [prompt.group] if prompt.group else [],
        "crops": crops,
        "questions": questions,
    }


def crops_of(atoms: Sequence[Atom], spec: Mapping[str, Any]) -> list[Crop]:
    """The answers crop by crop, in order; what was not observed has value None."""
    values = {atom.key: atom.value for atom in atoms if atom.status == "ok"}
    return [
        [Question(q["id"], q["dependency"], values.get(_key(spec, crop, q["id"]))) for q in spec["questions"]]
        for crop in range(spec["crops"])
    ]


def _categories(rows: Sequence[ItemAtoms], specs: Mapping[str, Any], rule_name: str) -> dict[str, float]:
    rule = rule_of(rule_name)
    by_prompt: dict[str, list[Scores]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.k):
        spec = specs[row.prompt_id]
        by_prompt[row.prompt_id] += rule.classes(spec, crops_of(row.atoms, spec))
    found: dict[str, list[float]] = defaultdict(list)
    for prompt_id, crops in by_prompt.items():
        for scores in crops[-1:] if rule.last_only else crops:
            for question, score in zip(specs[prompt_id]["questions"], scores, strict=True):
                for name in _classes(question) if score is not None else ():
                    found[name].append(score or 0.0)
    return {name: 100.0 * fmean(values) for name, values in sorted(found.items())}


def _classes(question: Mapping[str, str]) -> tuple[str, ...]:
    broad, detailed = question["category_broad"], question["category_detailed"]
    return (broad,) if detailed in {"", "-"} else (broad, f"{broad}/{detailed}")


def _key(spec: Mapping[str, Any], crop: int, question: str) -> str:
    return question if spec["crops"] == 1 else f"{crop}/{question}"


def _crop_files(item: ImageItem, folder: Path, grid: int) -> list[Path]:
    return [folder / f"{item.path.stem}-{crop}.png" for crop in range(grid**2)] if grid > 1 else []


def _data(question: Mapping[str, str]) -> dict[str, str]:
    return {name: question[name] for name in ("question", "dependency", "category_broad", "category_detailed")}


def _atom(asked: Asked, reply: ChatReply) -> Atom:
    data = dict(asked.data)
    if reply.error is not None:
        return Atom(key=asked.key, value=None, raw=reply.error, status="error", data=data)
    return Atom(key=asked.key, value=float(verdict(reply.text) == "yes"), raw=reply.text, data=data)

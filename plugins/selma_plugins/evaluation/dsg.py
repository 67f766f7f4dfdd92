"""The DSG evaluator: a judge answers the questions of each image; rules score the stored answers afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import attrs

from selma_core.data import Atom, ChatReply, ChatRequest, ImageItem, ItemAtoms, Message, MetricInfo, Prompt, Summary
from selma_core.errors import StageError, UserError
from selma_core.protocols import ChatModel, Context
from selma_plugins.benchmarks.dsg_csv import BenchmarkPrompt, read_benchmark
from selma_plugins.benchmarks.matching import known_prompt
from selma_plugins.evaluation.answers import verdict
from selma_plugins.evaluation.dependencies import complaints
from selma_plugins.evaluation.dsg_scores import questions_of, summarise_rows
from selma_plugins.evaluation.options import DSG_RULES, DsgOptions
from selma_plugins.evaluation.rules import rule_of
from selma_plugins.evaluation.writing.dsg import write_dsg
from selma_plugins.evaluation.writing.resuming import warn_of, without_questions, write_all


class Dsg:
    """Davidsonian Scene Graph. A spec is `{text, groups, questions: [{id, question, dependency, category_*}]}`.

    Where a chat model wrote the questions: see `selma_plugins.evaluation.writing.dsg`.
    """

    def __init__(self, options: DsgOptions) -> None:
        self._options = options
        self._judge = options.judge.use

    @property
    def info(self) -> MetricInfo:
        """`judge` is the plugin's name until `observe` has met the judge, then its identity."""
        rules = (self._options.rule, *(name for name in DSG_RULES if name != self._options.rule))
        return MetricInfo(name="dsg", version="1", rules=rules, judge=self._judge)

    def prepare(self, prompts: Sequence[Prompt], context: Context) -> dict[str, Any]:
        """prompt id -> spec.

        Raises:
            UnknownNameError: a prompt that the benchmark does not have. UserError: one that reads differently there.
            StageError: no questions could be written for any prompt.
        """
        for _, line in self._options.needs():
            raise UserError(f"dsg: {line}")
        if self._options.writer.use:
            return self._written(prompts, context)
        name = self._options.benchmark
        benchmark = read_benchmark(context.entry("benchmarks", name))
        specs = {prompt.id: spec_of(known_prompt(prompt, benchmark, name)) for prompt in prompts}
        bad = [f"prompt '{key}': {line}" for key, spec in specs.items() for line in complaints(_fields(spec))]
        if bad:
            context.warn(f"{len(bad)} dependencies in benchmark '{name}' need care; first: {bad[0]}")
        return specs

    def observe(self, items: Sequence[ImageItem], specs: Mapping[str, Any], context: Context) -> Iterator[ItemAtoms]:
        """One row per image, all its questions together, so that a judge can reuse what it saw of the image."""
        judge: ChatModel = context.component("chat_model", self._options.judge)
        self._judge = judge.identity
        warn_of(specs, context)
        counts: Counter[str] = Counter()
        for start in range(0, len(items), self._options.batch):
            part = items[start : start + self._options.batch]
            requests = [self._requests(item, specs[item.prompt.id]) for item in part]
            replies = iter(_replies(judge, list(chain.from_iterable(requests))))
            for item, asked in zip(part, requests, strict=True):
                row = _row(item, specs[item.prompt.id], [next(replies) for _ in asked])
                counts.update(_outcome(atom) for atom in row.atoms if atom.status != "skipped")
                yield row
        self._report(counts, context)

    def score(self, atoms: Sequence[Atom], spec: Any, rule: str) -> float | None:
        """The value of one image in [0, 1]."""
        return rule_of(rule).image(questions_of(atoms, spec))

    def aggregate(self, rows: Sequence[ItemAtoms], specs: Mapping[str, Any], rule: str) -> Summary:
        """The metric over all images; see `dsg_scores.summarise_rows`. The judge goes by its plugin's name."""
        return summarise_rows(rows, specs, rule, metric=self.info.name, judge=self._options.judge.use)

    def _written(self, prompts: Sequence[Prompt], context: Context) -> dict[str, Any]:
        writer: ChatModel = context.component("chat_model", self._options.writer)
        return write_all(prompts, context, lambda part: write_dsg(part, writer, self._options.attempts, context.seed))

    def _requests(self, item: ImageItem, spec: Mapping[str, Any]) -> list[ChatRequest]:
        texts = [self._options.question_template.replace("{question}", q["question"]) for q in spec["questions"]]
        return [
            ChatRequest(messages=(Message.user(item.path, text),), max_tokens=self._options.max_tokens)
            for text in texts
        ]

    def _report(self, counts: Counter[str], context: Context) -> None:
        if counts["unclear"]:
            answers = counts.total() - counts["error"]
            context.warn(f"{counts['unclear']} of {answers} answers are neither yes nor no; they score 0")


def _replies(judge: ChatModel, requests: Sequence[ChatRequest]) -> list[ChatReply]:
    replies = judge.reply(requests)
    if len(replies) != len(requests):
        raise StageError(f"chat model '{judge.identity}' gave {len(replies)} replies to {len(requests)} requests")
    return replies


def spec_of(prompt: BenchmarkPrompt) -> dict[str, Any]:
    """The JSON that scores are computed with."""
    return {
        "text": prompt.text,
        "groups": [prompt.group] if prompt.group else [],
        "questions": [attrs.asdict(question) for question in prompt.questions],
    }


def _fields(spec: Mapping[str, Any]) -> dict[str, str]:
    return {question["id"]: question["dependency"] for question in spec["questions"]}


def _row(item: ImageItem, spec: Mapping[str, Any], replies: Sequence[ChatReply]) -> ItemAtoms:
    if "unwritten" in spec:
        return without_questions(item, spec)
    atoms = tuple(_atom(q, reply) for q, reply in zip(spec["questions"], replies, strict=True))
    return ItemAtoms(item_id=item.item_id, prompt_id=item.prompt.id, k=item.k, atoms=atoms)


def _atom(question: Mapping[str, str], reply: ChatReply) -> Atom:
    data = {name: question[name] for name in ("question", "dependency", "category_broad", "category_detailed")}
    if reply.error is not None:
        return Atom(key=question["id"], value=None, raw=reply.error, status="error", data=data)
    return Atom(key=question["id"], value=float(verdict(reply.text) == "yes"), raw=reply.text, data=data)


def _outcome(atom: Atom) -> str:
    return "error" if atom.status == "error" else verdict(atom.raw or "")

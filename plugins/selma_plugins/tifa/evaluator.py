"""The TIFA evaluator: questions with choices about each image; a free answer counts as the choice nearest to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from selma_core.data import Atom, ChatReply, ImageItem, ItemAtoms, MetricInfo, Prompt, Summary
from selma_core.errors import UnknownNameError, UserError, did_you_mean
from selma_core.protocols import ChatModel, Context
from selma_plugins.benchmarks.read import read_items
from selma_plugins.evaluation.asking import Asked, ask
from selma_plugins.evaluation.writing.resuming import warn_of, without_questions, write_all
from selma_plugins.tifa.choosing import Nearest, likeliest_choice, literal_choice
from selma_plugins.tifa.options import TifaOptions
from selma_plugins.tifa.protocol import request_of, rules_of
from selma_plugins.tifa.scores import image_score, summarise_rows
from selma_plugins.tifa.specs import missing, specs_of
from selma_plugins.tifa.writing import write_tifa
from selma_plugins.vqa.probabilities import Probabilities


class Tifa:
    """See `selma_plugins.tifa.specs` for the spec. An atom's value is 1 where the choice taken is the right one."""

    def __init__(self, options: TifaOptions) -> None:
        self._options = options
        self._judge = options.judge.use

    @property
    def info(self) -> MetricInfo:
        """`judge` is the plugin's name until `observe` has met the judge, then its identity."""
        scale = "share of questions answered rightly"
        return MetricInfo(name="tifa", version="1", rules=rules_of(self._options), judge=self._judge, scale=scale)

    def prepare(self, prompts: Sequence[Prompt], context: Context) -> dict[str, Any]:
        """Caption id -> spec.

        Raises:
            UnknownNameError: a prompt that the file does not have. UserError: one that reads differently there.
            StageError: no questions could be written for any prompt.
        """
        for _, line in self._options.needs():
            raise UserError(f"tifa: {line}")
        if self._options.writer.use:
            return self._written(prompts, context)
        name = self._options.benchmark
        captions = read_items(context.entry("benchmarks", name))
        return specs_of(prompts, captions, name, everything=self._options.expect == "all")

    def observe(self, items: Sequence[ImageItem], specs: Mapping[str, Any], context: Context) -> Iterator[ItemAtoms]:
        """The answers about each image.

        Raises:
            StageError: the judge gives no log-probabilities although `answers` asks for them.
            ModelError: the sentence encoder cannot be had.
        """
        judge: ChatModel = context.component("chat_model", self._options.judge)
        self._judge = judge.identity
        _warn_of_missing(specs, context)
        warn_of(specs, context)
        reader = _Reader(self._options, judge.identity, context)

        def questions(item: ImageItem) -> list[Asked]:
            return [self._asked(item, question) for question in specs[item.prompt.id]["questions"]]

        for item, row in zip(items, ask(judge, items, questions, reader.atom, self._options.batch), strict=True):
            spec = specs[item.prompt.id]
            yield without_questions(item, spec) if "unwritten" in spec else row
        reader.report()

    def score(self, atoms: Sequence[Atom], spec: Any, rule: str) -> float | None:
        """The value of one image in [0, 1]."""
        return image_score(atoms, spec, self._known(rule))

    def aggregate(self, rows: Sequence[ItemAtoms], specs: Mapping[str, Any], rule: str) -> Summary:
        """The metric over all captions; see `scores.summarise_rows`. The judge goes by its plugin's name."""
        return summarise_rows(rows, specs, self._known(rule), info=self.info, judge=self._options.judge.use)

    def _written(self, prompts: Sequence[Prompt], context: Context) -> dict[str, Any]:
        options = self._options
        writer: ChatModel = context.component("chat_model", options.writer)
        checker: ChatModel = context.component("chat_model", options.checker) if options.checker.use else writer
        return write_all(
            prompts, context, lambda part: write_tifa(part, writer, checker, options.attempts, context.seed)
        )

    def _known(self, rule: str) -> str:
        if rule not in self.info.rules:
            raise UnknownNameError(
                f"tifa asked in this way has no rule '{rule}': {did_you_mean(rule, self.info.rules)}"
            )
        return rule

    def _asked(self, item: ImageItem, question: Mapping[str, Any]) -> Asked:
        data = {name: question[name] for name in ("question", "choices", "answer", "element_type", "element")}
        return Asked(key=question["id"], request=request_of(item, question, self._options), data=data)


class _Reader:
    """Turns replies into atoms, and counts the answers that are none of the choices."""

    def __init__(self, options: TifaOptions, judge: str, context: Context) -> None:
        self._options = options
        self._context = context
        self._logs = Probabilities("tifa", judge)
        self._nearest: Nearest | None = None
        self._counts: Counter[str] = Counter()

    def atom(self, asked: Asked, reply: ChatReply) -> Atom:
        """`data["choice"]` is the choice that the answer counts as, `data["literal"]` whether it was said in words."""
        if self._options.answers == "logprobs":
            return self._likeliest(asked, reply)
        if reply.error is not None:
            return Atom(key=asked.key, value=None, raw=reply.error, status="error", data=dict(asked.data))
        choice = literal_choice(reply.text, asked.data["choices"])
        self._counts["literal" if choice is not None else "outside"] += 1
        data = dict(asked.data) | {"literal": choice is not None, "choice": choice}
        if choice is None and self._options.outside == "nearest":
            data["choice"] = self._encoder().nearest(reply.text, asked.data["choices"])
        return Atom(key=asked.key, value=float(data["choice"] == data["answer"]), raw=reply.text, data=data)

    def report(self) -> None:
        """One warning, where answers were none of the choices."""
        count, total = self._counts["outside"], self._counts.total()
        if count:
            nearest = self._options.outside == "nearest"
            what = f"count as the nearest by {self._options.embedder}" if nearest else "count as wrong"
            self._context.warn(f"{count} of {total} answers are none of the choices; they {what}")

    def _likeliest(self, asked: Asked, reply: ChatReply) -> Atom:
        atom = self._logs.atom(asked, reply, (asked.data["answer"],))
        if atom.status != "ok":
            return atom
        choice = likeliest_choice(atom.data["p"])
        if choice is None:
            text = f"several choices begin alike, their probabilities are equal; the answer was {reply.text!r}"
            return attrs.evolve(atom, value=None, raw=text, status="error")
        return attrs.evolve(
            atom,
            value=float(choice == asked.data["answer"]),
            data=dict(atom.data) | {"literal": True, "choice": choice},
        )

    def _encoder(self) -> Nearest:
        if self._nearest is None:
            from selma_plugins.tifa.embedding import SentenceEncoder

            self._nearest = SentenceEncoder(self._options.embedder, self._context)
        return self._nearest


def _warn_of_missing(specs: Mapping[str, Any], context: Context) -> None:
    absent = missing(specs)
    if absent:
        context.warn(
            f"{len(absent)} of {len(specs)} captions have no image, first: {absent[0]}; they lower the coverage, not "
            "the score (expect: given counts only what was drawn)"
        )

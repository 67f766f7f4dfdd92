"""Semantic accuracy: does a VQA model see the actions, colours and numbers that the prompt names?

After the categories of SUR-adapter's evaluation (arXiv 2305.05189), whose questions and judge were not released. Here
the questions are made of the prompt by fixed rules (`named.py`), so a score can be repeated without a language model.
For questions of one's own, or of a language model, take `dsg` or `tifa`: their tables have these categories too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

import attrs

from selma_core.averages import average_over_prompts
from selma_core.data import Atom, ChatReply, ChatRequest, ImageItem, ItemAtoms, Message, MetricInfo, Prompt, Summary
from selma_core.errors import UnknownNameError, did_you_mean
from selma_core.protocols import ChatModel, Context
from selma_plugins.evaluation.answers import verdict
from selma_plugins.evaluation.asking import Asked, ask
from selma_plugins.vqa.groups import groups_of
from selma_plugins.vqa.named import NUMBERS, colours_in, numbers_in
from selma_plugins.vqa.named import questions as questions_of
from selma_plugins.vqa.observed import means_by, observed
from selma_plugins.vqa.options import SemanticAccuracyOptions

RULES = ("mean", "all")

PARTS = {"action": "action", "color": "color", "counting": "counting", "numeracy": "counting", "non_spatial": "action"}
"""Group of a benchmark (T2I-CompBench's among them) -> the one category that its prompts are about."""


class SemanticAccuracy:
    """A spec is `{text, groups, questions: [{id, category, question, answer}]}`; an atom is 1 for a right answer."""

    def __init__(self, options: SemanticAccuracyOptions) -> None:
        self._options = options
        self._judge = options.judge.use

    @property
    def info(self) -> MetricInfo:
        """`judge` is the plugin's name until `observe` has met the judge, then its identity."""
        asked = self._options.categories
        name = f"{asked[0]}_accuracy" if len(asked) == 1 else "semantic_accuracy"
        rules = tuple(sorted(RULES, key=lambda rule: rule != self._options.rule))
        scale = f"right answers about {', '.join(asked)}: mean share of an image's, or all of them"
        return MetricInfo(name=name, version="1", rules=rules, judge=self._judge, scale=scale)

    def prepare(self, prompts: Sequence[Prompt], context: Context) -> dict[str, Any]:
        """prompt id -> spec; a warning counts prompts that name nothing of these categories."""
        specs = {prompt.id: self._spec(prompt) for prompt in prompts}
        empty = sum(not spec["questions"] for spec in specs.values() if self._meant(spec["groups"]))
        if empty:
            names = ", ".join(self._options.categories)
            context.warn(f"{self.info.name}: {empty} of {len(specs)} prompts have nothing to ask about ({names})")
        return specs

    def observe(self, items: Sequence[ImageItem], specs: Mapping[str, Any], context: Context) -> Iterator[ItemAtoms]:
        """The answers about each image, the questions of `batch` images in one call."""
        judge: ChatModel = context.component("chat_model", self._options.judge)
        self._judge = judge.identity
        said: Counter[str] = Counter()

        def questions(item: ImageItem) -> list[Asked]:
            return [self._asked(item, question) for question in specs[item.prompt.id]["questions"]]

        for row in ask(judge, items, questions, _atom, self._options.batch):
            said.update("unclear" if atom.data.get("unclear") else atom.status for atom in row.atoms)
            yield row
        if said["unclear"]:
            total = said["unclear"] + said["ok"]
            context.warn(f"{said['unclear']} of {total} answers name no colour, no single number, no yes or no; 0")

    def score(self, atoms: Sequence[Atom], spec: Any, rule: str) -> float | None:
        """The value of one image in [0, 1]; None when nothing was observed of it."""
        values = [value for _, value in observed(atoms, spec)]
        if rule == "mean":
            return fmean(values) if values else None
        if rule != "all":
            raise UnknownNameError(f"{self.info.name} has no rule '{rule}': {did_you_mean(rule, RULES)}")
        # A lost answer cannot make up for a wrong one.
        known = values and (len(values) == len(spec["questions"]) or min(values) == 0)
        return float(min(values)) if known else None

    def aggregate(self, rows: Sequence[ItemAtoms], specs: Mapping[str, Any], rule: str) -> Summary:
        """The mean over prompts; `categories` are the accuracies over questions."""
        summary = average_over_prompts(
            rows,
            specs,
            lambda row, spec: self.score(row.atoms, spec, rule),
            info=self.info,
            rule=rule,
            judge=self._options.judge.use,
            expected=lambda spec: len(spec["questions"]),
        )
        return attrs.evolve(summary, categories=means_by("category", rows, specs))

    def _spec(self, prompt: Prompt) -> dict[str, Any]:
        groups = groups_of(prompt)
        found = questions_of(prompt.text, self._meant(groups))
        counts: Counter[str] = Counter()
        rows = []
        for one in found:
            rows.append({"id": f"{one.category}_{counts[one.category]}", **attrs.asdict(one)})
            counts[one.category] += 1
        return {"text": prompt.text, "groups": groups, "questions": rows}

    def _meant(self, groups: Sequence[str]) -> list[str]:
        """The categories to ask a prompt about: all, or that of its group."""
        parts = {PARTS[group] for group in groups if group in PARTS}
        return [name for name in self._options.categories if not parts or name in parts]

    def _asked(self, item: ImageItem, question: Mapping[str, Any]) -> Asked:
        text = self._options.question_template.replace("{question}", question["question"])
        request = ChatRequest(messages=(Message.user(item.path, text),), max_tokens=self._options.max_tokens)
        return Asked(key=question["id"], request=request, data={k: v for k, v in question.items() if k != "id"})


def right(category: str, answer: str, reply: str) -> bool | None:
    """Whether a reply says the answer; None where it says nothing of the kind: no colour, not one number, no yes or no.

    Args: category = action, color or counting; answer = as in `named.Question`.
    """
    if category == "color":
        said = colours_in(reply)
        return said == frozenset(answer.split()) if said else None
    if category == "counting":
        numbers = numbers_in(reply)
        return numbers == {NUMBERS.index(answer)} if len(numbers) == 1 else None
    word = verdict(reply)
    return None if word == "unclear" else word == answer


def _atom(asked: Asked, reply: ChatReply) -> Atom:
    data = dict(asked.data)
    if reply.error is not None:
        return Atom(key=asked.key, value=None, raw=reply.error, status="error", data=data)
    found = right(data["category"], data["answer"], reply.text)
    if found is None:
        data["unclear"] = True
    return Atom(key=asked.key, value=float(found or False), raw=reply.text, data=data)

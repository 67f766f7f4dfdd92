"""GenEval 2's Soft-TIFA: the probability of the right answer to each question, averaged over the questions of an image.

Source: arXiv 2512.16853; facebookresearch/GenEval2 (CC BY-NC 4.0: its data is the user's to bring). All questions of
the file count, also those about an `a` (`How many pigs ...`: one) that `atom_count` leaves out. Traps:

- P is that of the answer's first token. Where a tokenizer splits `10`, its probability is that of `1`, as released.
- A token that is only a blank counts for no answer; the released script may count it for ` 3`.
- One probability of 0 makes the geometric mean 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

import attrs

from selma_core.averages import average_over_prompts
from selma_core.data import Atom, ChatRequest, ImageItem, ItemAtoms, Message, MetricInfo, Prompt, Summary
from selma_core.errors import ArtifactError, UnknownNameError, did_you_mean
from selma_core.protocols import ChatModel, Context
from selma_plugins.benchmarks.item import BenchmarkItem
from selma_plugins.benchmarks.matching import known_prompt
from selma_plugins.benchmarks.read import read_items
from selma_plugins.evaluation.asking import Asked, ask
from selma_plugins.vqa.observed import means_by, observed
from selma_plugins.vqa.options import GenEval2Options
from selma_plugins.vqa.probabilities import Probabilities

RULES = ("gm", "am")
YES_NO = ("Yes", "No")
_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBERS = {word: str(number) for number, word in enumerate(_WORDS, 1)}


class GenEval2:
    """A spec is `{text, groups, questions: [{id, question, answer, choices, skill}]}`."""

    def __init__(self, options: GenEval2Options) -> None:
        self._options = options
        self._judge = options.judge.use

    @property
    def info(self) -> MetricInfo:
        """`judge` is the plugin's name until `observe` has met the judge, then its identity."""
        rules = tuple(sorted(RULES, key=lambda name: name != self._options.rule))
        scale = "mean probability of the right answers: gm geometric, am arithmetic"
        return MetricInfo(name="geneval2", version="1", rules=rules, judge=self._judge, scale=scale)

    def prepare(self, prompts: Sequence[Prompt], context: Context) -> dict[str, Any]:
        """prompt id -> spec.

        Raises:
            UnknownNameError: a prompt that the benchmark does not have. UserError: one that reads differently there.
            ArtifactError: a row of the benchmark whose skills and questions differ in number.
        """
        name = self._options.benchmark
        known = read_items(context.entry("benchmarks", name))
        return {prompt.id: spec_of(known_prompt(prompt, known, name)) for prompt in prompts}

    def observe(self, items: Sequence[ImageItem], specs: Mapping[str, Any], context: Context) -> Iterator[ItemAtoms]:
        """P of the right answer to each question.

        Raises:
            StageError: the judge gives no log-probabilities.
        """
        judge: ChatModel = context.component("chat_model", self._options.judge)
        self._judge = judge.identity
        read = Probabilities("geneval2", judge.identity)

        def questions(item: ImageItem) -> list[Asked]:
            return [self._asked(item, question) for question in specs[item.prompt.id]["questions"]]

        yield from ask(
            judge, items, questions, lambda one, reply: read.atom(one, reply, _right(one.request)), self._options.batch
        )

    def score(self, atoms: Sequence[Atom], spec: Any, rule: str) -> float | None:
        """The mean over the observed questions of an image, in [0, 1]."""
        return soft_tifa([value for _, value in observed(atoms, spec)], rule)

    def aggregate(self, rows: Sequence[ItemAtoms], specs: Mapping[str, Any], rule: str) -> Summary:
        """The mean over prompts, per atom count (groups), and per skill (categories: always arithmetic)."""
        summary = average_over_prompts(
            rows,
            specs,
            lambda row, spec: self.score(row.atoms, spec, rule),
            info=self.info,
            rule=rule,
            judge=self._options.judge.use,
            expected=lambda spec: len(spec["questions"]),
        )
        return attrs.evolve(summary, categories=means_by("skill", rows, specs))

    def _asked(self, item: ImageItem, question: Mapping[str, Any]) -> Asked:
        text = self._options.question_template.replace("{question}", question["question"])
        request = ChatRequest(
            messages=(Message.user(item.path, text),), max_tokens=1, choices=tuple(question["choices"])
        )
        data = {name: question[name] for name in ("question", "answer", "skill")}
        return Asked(key=question["id"], request=request, data=data)


def soft_tifa(values: Sequence[float], rule: str) -> float | None:
    """Arithmetic (`am`) or geometric (`gm`) mean of probabilities; None of none.

    Raises:
        UnknownNameError: for another rule.
    """
    if rule not in RULES:
        raise UnknownNameError(f"geneval2 has no rule '{rule}': {did_you_mean(rule, RULES)}")
    if not values:
        return None
    if rule == "am":
        return fmean(values)
    return math.exp(fmean(map(math.log, values))) if all(values) else 0.0


def spec_of(item: BenchmarkItem) -> dict[str, Any]:
    """The JSON that scores are computed with.

    Raises:
        ArtifactError: skills and questions differ in number.
    """
    skills = list(item.data.get("skills") or [""] * len(item.questions))
    if len(skills) != len(item.questions):
        raise ArtifactError(f"prompt '{item.id}' has {len(item.questions)} questions but {len(skills)} skills")
    questions = [
        {
            "id": f"{i:02d}",
            "question": q["question"],
            "answer": q["answer"],
            "choices": list(choices_of(q["question"], q["answer"])),
            "skill": skill,
        }
        for i, (q, skill) in enumerate(zip(item.questions, skills, strict=True))
    ]
    return {"text": item.text, "groups": [item.group] if item.group else [], "questions": questions}


def choices_of(question: str, answer: str) -> tuple[str, ...]:
    """What the judge weighs: the number as word and as digits, else yes and no (the answer is always yes)."""
    if not question.startswith("How many"):
        return YES_NO
    word = answer.strip().lower()
    return (word, NUMBERS[word]) if word in NUMBERS else (word,)


def _right(request: ChatRequest) -> tuple[str, ...]:
    """The choices that are right: all spellings of a number, the first of yes and no."""
    return request.choices[:1] if request.choices == YES_NO else request.choices

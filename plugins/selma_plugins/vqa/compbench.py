"""T2I-CompBench's attribute binding: every noun phrase of the prompt must be seen.

Source: Huang et al. 2023, arXiv 2307.06350; Karine-Huang/T2I-CompBench, BLIPvqa_eval. For each noun phrase `a green
bench` the judge is asked `a green bench?`; the value is P(yes) / (P(yes) + P(no)) at the first token, and the score of
an image the product over its phrases. The other categories need detectors and depth and are not scored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from selma_core.averages import average_over_prompts
from selma_core.data import Atom, ChatReply, ChatRequest, ImageItem, ItemAtoms, Message, MetricInfo, Prompt, Summary
from selma_core.errors import UserError
from selma_core.protocols import ChatModel, Context
from selma_plugins.evaluation.asking import Asked, ask
from selma_plugins.vqa.groups import groups_of
from selma_plugins.vqa.options import CompBenchOptions
from selma_plugins.vqa.phrases import asked as questions_among
from selma_plugins.vqa.phrases import template_phrases
from selma_plugins.vqa.probabilities import Probabilities
from selma_plugins.vqa.spacy_phrases import Chunker, spacy_chunker
from selma_plugins.vqa.vqascore import normalised

OTHER_PARTS = ("spatial", "3d_spatial", "numeracy", "non_spatial", "complex")
"""Categories whose scores need more than a VQA model."""


class CompBench:
    """A spec is `{text, groups, phrases, found_by}`; an image's atoms are its phrases, `00`, `01`, ..."""

    def __init__(self, options: CompBenchOptions) -> None:
        self._options = options
        self._judge = options.judge.use

    @property
    def info(self) -> MetricInfo:
        """One rule, named after who found the phrases: `product.template` or `product.spacy`."""
        rule = f"product.{self._options.phrases}"
        scale = "product over noun phrases of P(yes) / (P(yes) + P(no))"
        return MetricInfo(name="t2i_compbench", version="1", rules=(rule,), judge=self._judge, scale=scale)

    def prepare(self, prompts: Sequence[Prompt], context: Context) -> dict[str, Any]:
        """prompt id -> spec; prompts of the other categories have no phrases and are warned of.

        Raises:
            UserError: spaCy is asked for and not installed.
        """
        find, found_by = self._chunker()
        specs = {}
        for prompt in prompts:
            groups = groups_of(prompt)
            phrases = [] if set(groups) & set(OTHER_PARTS) else questions_among(find(prompt.text))
            specs[prompt.id] = {"text": prompt.text, "groups": groups, "phrases": phrases, "found_by": found_by}
        empty = sum(not spec["phrases"] for spec in specs.values())
        if empty:
            context.warn(
                f"{empty} of {len(specs)} prompts are not scored: they have no noun phrase, or are of a category that "
                f"needs a detector ({', '.join(OTHER_PARTS)})"
            )
        return specs

    def observe(self, items: Sequence[ImageItem], specs: Mapping[str, Any], context: Context) -> Iterator[ItemAtoms]:
        """P(yes) / (P(yes) + P(no)) for each phrase.

        Raises:
            StageError: the judge gives no log-probabilities.
        """
        judge: ChatModel = context.component("chat_model", self._options.judge)
        self._judge = judge.identity
        read = Probabilities("t2i_compbench", judge.identity)

        def questions(item: ImageItem) -> list[Asked]:
            phrases = enumerate(specs[item.prompt.id]["phrases"])
            return [
                Asked(key=f"{i:02d}", request=_request(item, phrase), data={"phrase": phrase}) for i, phrase in phrases
            ]

        yield from ask(judge, items, questions, lambda asked, reply: _atom(read, asked, reply), self._options.batch)

    def score(self, atoms: Sequence[Atom], spec: Any, rule: str) -> float | None:
        """The product over the phrases, in [0, 1]; None when one of them was not observed."""
        if rule != f"product.{spec['found_by'].split()[0]}":
            raise UserError(
                f"t2i_compbench: the phrases here were found by {spec['found_by']}, so not scored as '{rule}'"
            )
        values = {atom.key: atom.value for atom in atoms if atom.status == "ok" and atom.value is not None}
        # The product of some of them would be too good: it can only fall with every further phrase.
        if not values or len(values) < len(spec["phrases"]):
            return None
        return math.prod(values.values())

    def aggregate(self, rows: Sequence[ItemAtoms], specs: Mapping[str, Any], rule: str) -> Summary:
        """The mean over prompts, and per category."""
        return average_over_prompts(
            rows,
            specs,
            lambda row, spec: self.score(row.atoms, spec, rule),
            info=self.info,
            rule=rule,
            judge=self._options.judge.use,
            expected=lambda spec: len(spec["phrases"]),
        )

    def _chunker(self) -> tuple[Chunker, str]:
        if self._options.phrases == "spacy":
            return spacy_chunker(self._options.spacy_model)
        return template_phrases, "template"


def _request(item: ImageItem, phrase: str) -> ChatRequest:
    return ChatRequest(messages=(Message.user(item.path, f"{phrase}?"),), max_tokens=1, choices=("yes", "no"))


def _atom(read: Probabilities, asked: Asked, reply: ChatReply) -> Atom:
    atom = read.atom(asked, reply, ("yes",))
    if atom.status != "ok":
        return atom
    value = normalised(atom.data["p"]["yes"], atom.data["p"]["no"])
    return attrs.evolve(atom, value=value, status="ok" if value is not None else "error")

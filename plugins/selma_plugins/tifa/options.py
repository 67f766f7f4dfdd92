"""Options of the `tifa` evaluator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import attrs

from selma_core.options import Slot, component, entry, option, positive
from selma_plugins.evaluation.writing.origin import origin_needs

Protocol = Literal["upstream", "selma"]
Answers = Literal["free", "logprobs"]
Outside = Literal["nearest", "wrong"]
Expect = Literal["all", "given"]


@attrs.frozen(kw_only=True)
class TifaOptions:
    """Options of the `tifa` evaluator. Exactly one of `benchmark` and `writer` is given.

    Attributes:
        judge: the chat model that answers.
        benchmark: a question file in TIFA's format; the images' prompts must be its captions.
        writer: the chat model that writes the questions instead; see `selma_plugins.tifa.writing`.
        checker: the chat model that filters written questions by the caption alone; the writer where none is named.
        attempts: tries per request to writer and checker; one bad reply is no reason to lose a caption.
        protocol: whose wording of the questions, the metric's authors' or SELMA's; the rule's name says which.
        show_choices: whether the judge is shown the choices. TIFA's authors show them to BLIP-2 only.
        answers: `free` takes the judge's words, `logprobs` its likeliest choice; the rule's name says which.
        outside: what an answer that is none of the choices counts as: the `nearest` one, as released, or `wrong`; then
            the rule is called `literal`, and no encoder is needed.
        embedder: the sentence encoder that finds the nearest choice, as released `all-mpnet-base-v2`.
        expect: `all`: a caption of the file without an image lowers the coverage; `given`: only what was drawn counts.
    """

    judge: Slot = component("chat_model", help="chat model that answers the questions")
    benchmark: str = entry("benchmarks", "", help="registry name or path of a question file")
    writer: Slot = component("chat_model", Slot(), help="chat model that writes the questions")
    checker: Slot = component("chat_model", Slot(), help="chat model that filters written questions; default: writer")
    attempts: int = option(3, help="tries per request to writer and checker", check=positive)
    protocol: Protocol = option("upstream", help="wording of the questions")
    show_choices: bool = option(True, help="whether the judge is shown the choices")
    answers: Answers = option("free", help="the judge's words, or its likeliest choice by log-probability")
    outside: Outside = option("nearest", help="what an answer outside the choices counts as")
    embedder: str = entry("models", "", help="sentence encoder that finds the nearest choice")
    expect: Expect = option("all", help="count all captions of the file, or those that have images")
    max_tokens: int = option(16, help="length limit of an answer", check=positive)
    batch: int = option(8, help="images per call to the judge", changes_results=False, check=positive)

    def needs(self) -> Iterator[tuple[str, str]]:
        """One origin of the questions, and an encoder where answers are mapped by one."""
        yield from origin_needs(self.benchmark, self.writer)
        if self.checker.use and not self.writer.use:
            yield "checker", "filters written questions only; name a writer, or leave it out"
        if self.answers == "free" and self.outside == "nearest" and not self.embedder:
            yield (
                "embedder",
                "an answer outside the choices counts as the nearest one by a sentence encoder; "
                "name one, or set outside: wrong (another rule, literal)",
            )

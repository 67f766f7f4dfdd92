"""Options of the bundled evaluators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args

import attrs

from selma_core.options import Slot, component, entry, option, positive
from selma_plugins.evaluation.writing.origin import origin_needs

DsgRule = Literal["official", "selma", "nodep", "tolerant", "transitive", "strict"]
DSG_RULES: tuple[DsgRule, ...] = get_args(DsgRule)
DpgRule = Literal["official", "fixed"]
DPG_RULES: tuple[DpgRule, ...] = get_args(DpgRule)

QUESTION_TEMPLATE = "{question}\nAnswer only yes or no."


def _asks(instance: Any, field: attrs.Attribute[Any], value: str) -> None:
    if "{question}" not in value:
        raise ValueError(f"must contain {{question}}, not {value!r}")


@attrs.frozen(kw_only=True)
class DsgOptions:
    """Options of the `dsg` evaluator. Exactly one of `benchmark` and `writer` is given.

    Attributes:
        benchmark: CSV in DSG's format; the images' prompts must be its prompts.
        writer: the chat model that writes the questions instead, for prompts that no file knows.
        attempts: tries per request to the writer; then the prompt has no questions and lowers the coverage.
        judge: the chat model that answers.
        rule: how answers become scores. Applied to stored answers, so another rule asks nothing again.
        question_template: text sent after the image; `{question}` is replaced.
        max_tokens: length limit of an answer.
        batch: images whose questions go to the judge in one call.
    """

    benchmark: str = entry("benchmarks", "", help="registry name of the questions")
    writer: Slot = component("chat_model", Slot(), help="chat model that writes the questions")
    attempts: int = option(3, help="tries per request to the writer", check=positive)
    judge: Slot = component("chat_model", help="chat model that answers the questions")
    rule: DsgRule = option("official", help="how answers become scores", changes_results=False)
    question_template: str = option(QUESTION_TEMPLATE, help="text sent after the image", check=_asks)
    max_tokens: int = option(8, help="length limit of an answer", check=positive)
    batch: int = option(8, help="images per call to the judge", changes_results=False, check=positive)

    def needs(self) -> Iterator[tuple[str, str]]:
        """One origin of the questions."""
        yield from origin_needs(self.benchmark, self.writer)


@attrs.frozen(kw_only=True)
class DpgOptions:
    """Options of the `dpg` evaluator.

    Attributes:
        benchmark: DPG-Bench's CSV; the images' prompts must be its prompts.
        judge: the chat model that answers (released: mPLUG-large).
        rule: how answers become scores; `official` keeps the released script's bugs.
        grid: images a side: 2 where each file holds four images of its prompt, as the released script reads them.
        question_template: text sent after the image; `{question}` is replaced.
        max_tokens: length limit of an answer.
        batch: files whose questions go to the judge in one call.
    """

    benchmark: str = entry("benchmarks", "dpg", help="registry name of the questions")
    judge: Slot = component("chat_model", help="chat model that answers the questions")
    rule: DpgRule = option("fixed", help="official keeps the released script's bugs", changes_results=False)
    grid: Literal[1, 2] = option(1, help="2: each file is a 2 x 2 grid of images, cut before asking")
    question_template: str = option(QUESTION_TEMPLATE, help="text sent after the image", check=_asks)
    max_tokens: int = option(8, help="length limit of an answer", check=positive)
    batch: int = option(4, help="files per call to the judge", changes_results=False, check=positive)

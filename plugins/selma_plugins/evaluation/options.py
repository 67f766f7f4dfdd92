"""Options of the bundled evaluators."""

from __future__ import annotations

from typing import Any, Literal, get_args

import attrs

from selma_core.options import Slot, component, entry, option, positive

DsgRule = Literal["official", "selma", "nodep", "tolerant", "transitive", "strict"]
DSG_RULES: tuple[DsgRule, ...] = get_args(DsgRule)

QUESTION_TEMPLATE = "{question}\nAnswer only yes or no."


def _asks(instance: Any, field: attrs.Attribute[Any], value: str) -> None:
    if "{question}" not in value:
        raise ValueError(f"must contain {{question}}, not {value!r}")


@attrs.frozen(kw_only=True)
class DsgOptions:
    """Options of the `dsg` evaluator.

    Attributes:
        benchmark: CSV in DSG's format; the images' prompts must be its prompts.
        judge: the chat model that answers.
        rule: how answers become scores. Applied to stored answers, so another rule asks nothing again.
        question_template: text sent after the image; `{question}` is replaced.
        max_tokens: length limit of an answer.
        batch: images whose questions go to the judge in one call.
    """

    benchmark: str = entry("benchmarks", help="registry name of the questions")
    judge: Slot = component("chat_model", help="chat model that answers the questions")
    rule: DsgRule = option("official", help="how answers become scores", changes_results=False)
    question_template: str = option(QUESTION_TEMPLATE, help="text sent after the image", check=_asks)
    max_tokens: int = option(8, help="length limit of an answer", check=positive)
    batch: int = option(8, help="images per call to the judge", changes_results=False, check=positive)

"""Options of the bundled evaluators."""

from __future__ import annotations

from typing import Any

import attrs

from selma_core.errors import did_you_mean
from selma_core.options import Slot, component, entry, option, positive

DSG_RULES = ("official", "selma", "nodep", "tolerant", "transitive", "strict")

QUESTION_TEMPLATE = "{question}\nAnswer only yes or no."


def _known_rule(instance: Any, field: attrs.Attribute[Any], value: str) -> None:
    if value not in DSG_RULES:
        raise ValueError(f"no rule {value!r}: {did_you_mean(value, DSG_RULES)}")


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
    rule: str = option("official", help="|".join(DSG_RULES), changes_results=False, check=_known_rule)
    question_template: str = option(QUESTION_TEMPLATE, help="text sent after the image", check=_asks)
    max_tokens: int = option(8, help="length limit of an answer", check=positive)
    batch: int = option(8, help="images per call to the judge", changes_results=False, check=positive)

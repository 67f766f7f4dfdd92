"""Options of the prompt sources."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from selma_core.errors import did_you_mean
from selma_core.options import Slot, at_least, between, component, entry, option


@attrs.frozen
class LlmSkillsOptions:
    """In-context expansion of a skill's seed prompts.

    The defaults are the settings of SELMA's released code, but for these: prompts above the skill's `max_words` are
    rejected (`word_limit: false` keeps them: there the limit is a request to the model only), the list has exactly
    `n` prompts (`trim: false`), any form of list is read (`parser: released`), and requests are worded anew.
    """

    skill: str = entry("skills", help="what the prompts are about")
    chat: Slot = component("chat_model", Slot("openai"), help="who writes the prompts")
    n: int = option(1000, help="prompts wanted", check=at_least(1))
    ask: int = option(20, help="prompts asked for in one request", check=at_least(1))
    demos: int = option(3, help="examples in one request", check=at_least(1))
    demo_pool: Literal["seeds+accepted", "seeds"] = option("seeds+accepted", help="where examples are drawn from")
    requests: int = option(5, help="requests sent together; they share one pool of examples", check=at_least(1))
    request: Literal["rules", "list"] = option(
        "rules", help="rules: instructions for a chat model; list: a bare list for a small model to continue"
    )
    temperature: float = option(1.0, help="of the chat model", check=between(0, 2))
    max_tokens: int = option(0, help="longest reply; 0 is room for all that is asked", check=at_least(0))
    rouge_max: float = option(0.8, help="highest ROUGE-L F1 to any kept prompt or seed", check=between(0, 1))
    word_limit: bool = option(True, help="reject prompts above the skill's max_words")
    within: Slot = component(
        "prompt_source", Slot(), help="keep to what this source could write (grammar: the shapes vocabulary)"
    )
    decontaminate: list[str] = entry("benchmarks", [], help="benchmarks that no prompt may resemble")
    decontaminate_max: float = option(0.8, help="highest ROUGE-L F1 to a benchmark prompt", check=between(0, 1))
    trim: bool = option(True, help="exactly n prompts; false keeps the last batch whole, as the released code does")
    parser: Literal["list", "released"] = option("list", help="released: the paper's code with its known losses")
    give_up: int = option(
        50,
        help="requests in a row without a new prompt before the stage fails",
        changes_results=False,
        check=at_least(1),
    )


@attrs.frozen
class PromptFileOptions:
    """Prompts from a file."""

    path: str = entry("files", help="JSON list of strings, JSONL, CSV, or TXT with one prompt a line")
    column: str = option("text", help="field of a JSONL object or column of a CSV that holds the prompt")
    n: int | None = option(None, help="only the first n", check=attrs.validators.optional(at_least(1)))
    skill: str = option("", help="label of the prompts")


def _known_skill(instance: Any, field: attrs.Attribute[Any], value: str) -> None:
    from selma_plugins.shapes.grammar import EVERY_SKILL  # only when a recipe uses it

    if value not in EVERY_SKILL:
        known = ", ".join(EVERY_SKILL)
        raise ValueError(f"unknown skill '{value}'; {did_you_mean(value, EVERY_SKILL)} (known: {known})")


@attrs.frozen
class GrammarOptions:
    """Prompts of the shapes world by its own grammar; never one of its benchmark or validation prompts."""

    skill: str = option("general", help="paragraph, count, real_user, counterfactual or general", check=_known_skill)
    n: int = option(1000, help="prompts wanted", check=at_least(1))


@attrs.frozen
class BenchmarkPromptsOptions:
    """The prompts of a benchmark."""

    benchmark: str = entry("benchmarks", help="whose prompts")
    groups: list[str] = option([], help="only these groups of it; empty = all", added=True)
    per_group: int | None = option(
        None, help="a fixed subset: so many of each group", check=attrs.validators.optional(at_least(1))
    )
    limit: int | None = option(
        None, help="a fixed subset: so many in all", check=attrs.validators.optional(at_least(1))
    )

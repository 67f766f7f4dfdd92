"""Options of the evaluators that ask a vision-language model for probabilities or preferences."""

from __future__ import annotations

from typing import Any, Literal, get_args

import attrs

from selma_core.errors import did_you_mean
from selma_core.options import Slot, component, entry, option, positive

Template = Literal["clip_flant5", "qwen", "geneval2"]
Formula = Literal["p_yes", "normalised"]
SoftTifaRule = Literal["am", "gm"]
Phrases = Literal["template", "spacy"]
Preference = Literal["swapped", "average"]
AccuracyRule = Literal["mean", "all"]
Category = Literal["action", "color", "counting"]
CATEGORIES: tuple[Category, ...] = get_args(Category)

PAIR_TEMPLATE = (
    "Two images were made from one description.\nDescription: {prompt}\nWhich image shows better what the description "
    "says? Answer with one word: first, second or tie."
)


def _holds(word: str) -> Any:
    def check(instance: Any, field: attrs.Attribute[Any], value: str) -> None:
        if word not in value:
            raise ValueError(f"must contain {word}, not {value!r}")

    return check


@attrs.frozen(kw_only=True)
class VqaScoreOptions:
    """Options of `vqascore`. Numbers of two templates, formulas or judges are not comparable.

    Attributes:
        judge: a chat model with log-probabilities.
        template: the question as t2v_metrics asks CLIP-FlanT5 (v3.0) or Qwen-VL (v3.1), or as GenEval 2 asks it.
        formula: p_yes is P(yes) over the whole vocabulary; normalised is P(yes) / (P(yes) + P(no)).
        batch: images that go to the judge in one call.
    """

    judge: Slot = component("chat_model", help="chat model with log-probabilities")
    template: Template = option("qwen", help="wording of the question: clip_flant5, qwen or geneval2")
    formula: Formula = option("p_yes", help="P(yes), or P(yes)/(P(yes)+P(no))", changes_results=False)
    batch: int = option(8, help="images per call to the judge", changes_results=False, check=positive)


@attrs.frozen(kw_only=True)
class GenEval2Options:
    """Options of `geneval2` (Soft-TIFA).

    Attributes:
        benchmark: GenEval 2's own file, which its licence (CC BY-NC 4.0) keeps out of this package: its path, or an
            entry of one's own registry that names it.
        rule: arithmetic or geometric mean over the questions of an image.
        question_template: text sent after the image; `{question}` is replaced.
    """

    benchmark: str = entry("benchmarks", help="path of geneval2_data.jsonl, or a registry entry that names it")
    judge: Slot = component("chat_model", help="chat model with log-probabilities")
    rule: SoftTifaRule = option("gm", help="arithmetic (am) or geometric (gm) mean", changes_results=False)
    question_template: str = option(
        "{question} Answer in one word.", help="text sent after the image", check=_holds("{question}")
    )
    batch: int = option(8, help="images per call to the judge", changes_results=False, check=positive)


@attrs.frozen(kw_only=True)
class CompBenchOptions:
    """Options of `t2i_compbench`, the parts that a VQA model scores: colour, shape, texture.

    Attributes:
        judge: a chat model with log-probabilities (released: BLIP-VQA).
        phrases: who finds the noun phrases: `spacy` as released (needs the extra), or a small chunker for the
            benchmark's own templates, `template`. The rule's name says which.
    """

    judge: Slot = component("chat_model", help="chat model with log-probabilities")
    phrases: Phrases = option("template", help="noun phrases by a small chunker (template) or by spacy")
    spacy_model: str = option("en_core_web_sm", help="package of the spaCy pipeline, for phrases: spacy")
    batch: int = option(8, help="images per call to the judge", changes_results=False, check=positive)


def _some_categories(instance: Any, field: attrs.Attribute[Any], value: list[str]) -> None:
    if not value:
        raise ValueError(f"needs at least one of {', '.join(CATEGORIES)}")
    for name in value:
        if name not in CATEGORIES:
            raise ValueError(f"has no category '{name}': {did_you_mean(name, CATEGORIES)}")


@attrs.frozen(kw_only=True)
class SemanticAccuracyOptions:
    """Options of `semantic_accuracy`: what a prompt says of actions, colours and numbers.

    Attributes:
        judge: the chat model that answers (a VQA model).
        categories: what is asked about. Of one alone the metric is called after it, like `action_accuracy`.
        rule: mean is the share of right answers of an image, all is 1 where each is right.
        question_template: text sent after the image; `{question}` is replaced.
    """

    judge: Slot = component("chat_model", help="chat model that answers the questions")
    categories: list[str] = option(
        list(CATEGORIES), help="what is asked about: action, color, counting", check=_some_categories
    )
    rule: AccuracyRule = option("mean", help="share of right answers, or 1 where all are", changes_results=False)
    question_template: str = option(
        "{question}\nAnswer in one word.", help="text sent after the image", check=_holds("{question}")
    )
    max_tokens: int = option(8, help="length limit of an answer", check=positive)
    batch: int = option(8, help="images per call to the judge", changes_results=False, check=positive)


@attrs.frozen(kw_only=True)
class LlmJudgeOptions:
    """Options of `llm_judge`: which of two images of one prompt is better, asked in both orders.

    Attributes:
        judge: a chat model that takes two images in one turn.
        question_template: text sent after the two images; `{prompt}` is replaced. It must ask for the word `first`,
            `second` or `tie`.
        rule: swapped counts a win only when both orders agree; average takes the mean of the two orders.
    """

    judge: Slot = component("chat_model", help="chat model that takes two images in one turn")
    question_template: str = option(
        PAIR_TEMPLATE, help="text sent after the images; must ask for first, second or tie", check=_holds("{prompt}")
    )
    rule: Preference = option("swapped", help="what two orders make of a pair", changes_results=False)
    max_tokens: int = option(8, help="length limit of an answer", check=positive)
    batch: int = option(8, help="pairs per call to the judge", changes_results=False, check=positive)

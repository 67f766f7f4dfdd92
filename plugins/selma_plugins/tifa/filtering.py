"""Which written questions the caption itself answers: TIFA's filter, with a chat model in place of UnifiedQA.

Source: Hu et al. 2023, section 3.2; tifascore/question_filter.py. Numbers are converted in the answer whatever the
right one is, and case and punctuation do not count.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from selma_core.protocols import ChatModel
from selma_core.seeds import derive_seed
from selma_plugins.evaluation.answers import normalise
from selma_plugins.evaluation.writing.asking import Failed, Wanted, ask_all
from selma_plugins.tifa.choosing import literal_choice
from selma_plugins.tifa.lines import Written
from selma_plugins.tifa.numbers import words_to_digits

F1_ABOVE = 0.6
MAX_TOKENS = 32
WITH_CHOICES = (
    "Caption: {caption}\nQuestion: {question}\nChoices: {choices}\n"
    "Answer by the caption alone, with one of the choices and nothing else.\nAnswer:"
)
WITHOUT = (
    "Caption: {caption}\nQuestion: {question}\n"
    "Answer by the caption alone, in as few of its words as possible.\nAnswer:"
)


@attrs.frozen
class Verdict:
    """Attributes: reason = why the question was dropped, or ""; unknown = because the checker did not answer."""

    reason: str = ""
    unknown: bool = False


KEPT = Verdict()


def judge_all(asked: Sequence[tuple[str, Written]], checker: ChatModel, attempts: int, seed: int) -> list[Verdict]:
    """One verdict per (caption, question), in order. A caption's question that was asked before is dropped unasked."""
    verdicts = dict.fromkeys(range(len(asked)), KEPT)
    seen: set[tuple[str, str]] = set()
    for i, (caption, one) in enumerate(asked):
        if (caption, normalise(one.question)) in seen:
            verdicts[i] = Verdict("the caption has this question already")
        seen.add((caption, normalise(one.question)))
    _check(verdicts, asked, checker, attempts, seed, free=False)
    _check(verdicts, asked, checker, attempts, seed, free=True)
    return [verdicts[i] for i in range(len(asked))]


def _check(
    verdicts: dict[int, Verdict],
    asked: Sequence[tuple[str, Written]],
    checker: ChatModel,
    attempts: int,
    seed: int,
    *,
    free: bool,
) -> None:
    """Asks about the questions still kept, without their choices where `free`; yes and no are not asked for freely."""
    left = [i for i, verdict in verdicts.items() if verdict is KEPT and not (free and _is_yes_or_no(asked[i][1]))]
    found = ask_all(checker, [_wanted(*asked[i], seed, free=free) for i in left], attempts)
    for i, answer in zip(left, found, strict=True):
        if isinstance(answer, Failed):
            verdicts[i] = Verdict(f"the checker gave no answer: {answer.reason}", unknown=True)
        elif free:
            verdicts[i] = _free(answer, asked[i][1])
        else:
            verdicts[i] = _chosen(answer, asked[i][1])


def _wanted(caption: str, one: Written, seed: int, *, free: bool) -> Wanted[str]:
    text = (WITHOUT if free else WITH_CHOICES).replace("{choices}", "; ".join(one.choices))
    text = text.replace("{question}", one.question).replace("{caption}", caption)
    about = derive_seed("tifa filter", seed, caption, one.question, str(free))
    return Wanted(text=text, seed=about, read=_first_line, max_tokens=MAX_TOKENS, whole=False)


def _first_line(reply: str) -> str:
    return next(iter(reply.strip().splitlines()), "").strip()


def _chosen(answer: str, one: Written) -> Verdict:
    if literal_choice(answer, one.choices) == one.answer:
        return KEPT
    return Verdict(f"by the caption alone the choice is {answer!r}, not {one.answer!r}")


def _free(answer: str, one: Written) -> Verdict:
    if token_f1(one.answer, answer) > F1_ABOVE:
        return KEPT
    return Verdict(f"by the caption alone the answer is {answer!r}, too far from {one.answer!r}")


def _is_yes_or_no(one: Written) -> bool:
    return normalise(one.answer) in ("yes", "no")


def token_f1(right: str, said: str) -> float:
    """F1 of the words of two texts, in [0, 1]: precision = share of the said words that are right ones."""
    wanted, found = (words_to_digits(normalise(text).split()) for text in (right, said))
    if not wanted or not found:
        return float(wanted == found)
    precision = sum(word in wanted for word in found) / len(found)
    recall = sum(word in found for word in wanted) / len(wanted)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

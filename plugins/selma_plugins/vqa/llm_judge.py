"""A judge that prefers one of two images of one prompt, asked in both orders.

Judges favour a position (Zheng et al. 2023, arXiv 2306.05685), so each pair is shown twice, swapped. Under `swapped` a
win counts only when both orders agree; anything else is a tie. The value of an image is 1, 0.5 or 0, so the mean is the
win rate with ties as half. The other images come from the stage's port `baseline`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import attrs

from selma_core.averages import average_over_prompts
from selma_core.data import Atom, ChatReply, ChatRequest, ImageItem, ItemAtoms, Message, MetricInfo, Prompt, Summary
from selma_core.errors import UnknownNameError, UserError, did_you_mean
from selma_core.protocols import ChatModel, Context
from selma_plugins.evaluation.answers import normalise
from selma_plugins.evaluation.asking import Asked, ask
from selma_plugins.vqa.groups import groups_of
from selma_plugins.vqa.options import LlmJudgeOptions

RULES = ("swapped", "average")
ORDERS = ("mine_first", "mine_second")
"""Keys of the two atoms of an image: whether it was shown first or second."""

_SAME = "same image"
Place = Literal["first", "second", "tie"]


class LlmJudge:
    """A spec is `{text, groups}`; an atom's value is 1 where the judge prefers the image, 0.5 for a tie, else 0."""

    def __init__(self, options: LlmJudgeOptions) -> None:
        self._options = options
        self._judge = options.judge.use
        self._baseline: dict[tuple[str, int], ImageItem] = {}

    @property
    def info(self) -> MetricInfo:
        """`judge` is the plugin's name until `observe` has met the judge, then its identity."""
        rules = tuple(sorted(RULES, key=lambda name: name != self._options.rule))
        scale = "1 the image wins, 0.5 tie, 0 the baseline wins; the mean is the win rate, ties as half"
        return MetricInfo(name="llm_judge", version="1", rules=rules, judge=self._judge, scale=scale)

    def against(self, baseline: Sequence[ImageItem]) -> None:
        """The images to compare with; they are paired by prompt and sample index.

        Raises:
            UserError: there are none.
        """
        if not baseline:
            raise UserError(
                "llm_judge compares two image sets: name the other one under 'from', "
                "like {images: sample, baseline: 'sample[base]'}"
            )
        self._baseline = {(item.prompt.id, item.k): item for item in baseline}

    def prepare(self, prompts: Sequence[Prompt], context: Context) -> dict[str, Any]:
        """prompt id -> spec."""
        return {prompt.id: {"text": prompt.text, "groups": groups_of(prompt)} for prompt in prompts}

    def observe(self, items: Sequence[ImageItem], specs: Mapping[str, Any], context: Context) -> Iterator[ItemAtoms]:
        """Both orders of each pair. An image compared with itself is a tie without asking."""
        judge: ChatModel = context.component("chat_model", self._options.judge)
        self._judge = judge.identity
        alone = unclear = 0
        asked = ask(judge, items, self._questions, _atom, self._options.batch)
        for item, answered in zip(items, asked, strict=True):
            row = answered if answered.atoms else attrs.evolve(answered, atoms=self._unasked(item))
            alone += any(atom.status == "skipped" for atom in row.atoms)
            unclear += sum("answer" in atom.data and atom.status == "error" for atom in row.atoms)
            yield row
        if alone:
            context.warn(f"{alone} of {len(items)} images have no counterpart in the baseline; they lower the coverage")
        if unclear:
            context.warn(f"{unclear} answers were neither first, second nor tie; they are missing data")

    def score(self, atoms: Sequence[Atom], spec: Any, rule: str) -> float | None:
        """1 for a win, 0.5 for a tie, 0 for a loss; None unless both orders were observed."""
        return preference(_values(atoms), rule)

    def aggregate(self, rows: Sequence[ItemAtoms], specs: Mapping[str, Any], rule: str) -> Summary:
        """The win rate, ties as half, with components as categories; see `components`."""
        summary = average_over_prompts(
            rows,
            specs,
            lambda row, spec: preference(_values(row.atoms), rule),
            info=self.info,
            rule=rule,
            judge=self._options.judge.use,
            expected=lambda spec: len(ORDERS),
        )
        return attrs.evolve(summary, categories=components(rows, rule))

    def _questions(self, item: ImageItem) -> list[Asked]:
        other = self._baseline.get((item.prompt.id, item.k))
        if other is None or other.sha256 == item.sha256:
            return []
        text = self._options.question_template.replace("{prompt}", item.prompt.text)
        pairs = {ORDERS[0]: (item.path, other.path), ORDERS[1]: (other.path, item.path)}
        return [
            Asked(
                key=key,
                request=ChatRequest(messages=(Message.user(*paths, text),), max_tokens=self._options.max_tokens),
                data={"baseline": other.item_id},
            )
            for key, paths in pairs.items()
        ]

    def _unasked(self, item: ImageItem) -> tuple[Atom, ...]:
        if (item.prompt.id, item.k) not in self._baseline:
            return tuple(Atom(key=key, value=None, raw="no baseline image", status="skipped") for key in ORDERS)
        return tuple(Atom(key=key, value=0.5, raw=_SAME) for key in ORDERS)


def place_of(answer: str) -> Place | None:
    """Which image an answer names; None for anything but one of the three words, perhaps as `the first image`."""
    words = [word for word in normalise(answer).split() if word not in ("the", "image", "one", "a")]
    match words:
        case ["first"] | ["1"]:
            return "first"
        case ["second"] | ["2"]:
            return "second"
        case ["tie"] | ["both"] | ["equal"]:
            return "tie"
        case _:
            return None


def preference(values: Mapping[str, float], rule: str) -> float | None:
    """What the two orders' values make of a pair.

    Raises:
        UnknownNameError: for another rule.
    """
    if rule not in RULES:
        raise UnknownNameError(f"llm_judge has no rule '{rule}': {did_you_mean(rule, RULES)}")
    if len(values) < len(ORDERS):
        return None
    first, second = (values[key] for key in ORDERS)
    if rule == "average":
        return (first + second) / 2
    return first if first == second else 0.5


def components(rows: Sequence[ItemAtoms], rule: str) -> dict[str, float]:
    """Per cent: `wins`, `ties`, `losses` of the pairs, and how the judge treats positions.

    `position first` is the share of the first image among answers that name one: 50 means no bias. `orders disagree` is
    the share of pairs whose two answers contradict each other. Pairs of one and the same image count in neither.
    """
    pairs = [row for row in rows if len(_values(row.atoms)) == len(ORDERS)]
    if not pairs:
        return {}
    scores = [preference(_values(row.atoms), rule) or 0.0 for row in pairs]
    asked = [_values(row.atoms) for row in pairs if any(atom.raw != _SAME for atom in row.atoms)]
    named = [value if key == ORDERS[0] else 1 - value for pair in asked for key, value in pair.items() if value != 0.5]
    found = {
        "wins": _share(sum(score > 0.5 for score in scores), len(scores)),
        "ties": _share(sum(score == 0.5 for score in scores), len(scores)),
        "losses": _share(sum(score < 0.5 for score in scores), len(scores)),
    }
    if named:
        found["position first"] = _share(sum(named), len(named))
    if asked:
        found["orders disagree"] = _share(sum(len(set(pair.values())) > 1 for pair in asked), len(asked))
    return found


def _atom(asked: Asked, reply: ChatReply) -> Atom:
    data = dict(asked.data)
    if reply.error is not None:
        return Atom(key=asked.key, value=None, raw=reply.error, status="error", data=data)
    place = place_of(reply.text)
    if place is None:
        return Atom(key=asked.key, value=None, raw=reply.text, status="error", data=data | {"answer": "unclear"})
    mine = "first" if asked.key == ORDERS[0] else "second"
    value = 0.5 if place == "tie" else float(place == mine)
    return Atom(key=asked.key, value=value, raw=reply.text, data=data | {"answer": place})


def _values(atoms: Sequence[Atom]) -> dict[str, float]:
    return {atom.key: atom.value for atom in atoms if atom.status == "ok" and atom.value is not None}


def _share(part: float, whole: int) -> float:
    return 100.0 * part / whole

"""From a judge's log-probabilities to the probability of an answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from selma_core.data import Atom, ChatReply
from selma_core.errors import StageError
from selma_plugins.evaluation.asking import Asked

# So many answers without a single log-probability are no accident.
_PATIENCE = 8


class Probabilities:
    """Reads P of the wanted answers; notices a judge that has no probabilities at all.

    A choice is asked for in one spelling. A judge adds up the first tokens that begin it, whatever their case and
    leading blank: `Yes`, `yes`, ` yes`, ` Yes`.
    """

    def __init__(self, metric: str, judge: str) -> None:
        self._metric = metric
        self._judge = judge
        self._seen = False
        self._without = 0

    def atom(self, asked: Asked, reply: ChatReply, wanted: Sequence[str]) -> Atom:
        """value = P of any of `wanted`, `data["p"]` = P of each choice; an error where the judge gave none.

        Raises:
            StageError: the judge gives no log-probabilities.
        """
        data = dict(asked.data)
        if reply.error is not None:
            return Atom(key=asked.key, value=None, raw=reply.error, status="error", data=data)
        found = self._read(reply, asked.request.choices)
        if found is None:
            words = " or ".join(f"'{choice}'" for choice in asked.request.choices)
            text = f"{words} is not among the likeliest first tokens; the answer was {reply.text!r}"
            return Atom(key=asked.key, value=None, raw=text, status="error", data=data)
        value = min(1.0, math.fsum(found[choice] for choice in wanted))
        return Atom(key=asked.key, value=value, raw=reply.text, data=data | {"p": found})

    def _read(self, reply: ChatReply, choices: Sequence[str]) -> dict[str, float] | None:
        given = reply.choice_logprobs
        if given is not None and all(choice in given for choice in choices):
            self._seen = True
            return {choice: _probability(given, choice) for choice in choices}
        self._without += 1
        answered = reply.text.lower().startswith(tuple(choice.lower() for choice in choices))
        if not self._seen and (answered or self._without >= _PATIENCE):
            raise StageError(
                f"{self._metric} is made of probabilities, and the judge '{self._judge}' gives none; take one that "
                "does: 'use: openai' with a server and model that return logprobs, or a model on this machine "
                "(selma plugins list chat_model)"
            )
        return None


def _probability(logs: Mapping[str, float], choice: str) -> float:
    # rounding may leave a logarithm a hair above 0
    return min(1.0, math.exp(logs[choice]))

"""Log-probabilities of answers from those of the first token."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence


def from_top_tokens(top: Iterable[tuple[str, float]], choices: Sequence[str]) -> dict[str, float] | None:
    """Choice -> natural-log probability of the tokens that begin it.

    A token counts for a choice when, without case and outer blanks, it begins that choice and no other.
    A choice that no token begins gets the lowest log-probability of the list: an upper bound.

    Args:
        top: (token, natural-log probability) of the likeliest first tokens.
        choices: the possible answers.

    Returns:
        One number per choice, or None when no token begins any of them.
    """
    tokens = [(text.strip().lower(), value) for text, value in top]
    mass = dict.fromkeys(choices, 0.0)
    for text, value in tokens:
        begun = [choice for choice in choices if text and choice.strip().lower().startswith(text)]
        if len(begun) == 1:
            mass[begun[0]] += math.exp(value)
    if not any(mass.values()):
        return None
    lowest = min(value for _, value in tokens)
    return {choice: math.log(found) if found > 0 else lowest for choice, found in mass.items()}


def from_openai(choice: Mapping[str, object], choices: Sequence[str]) -> dict[str, float] | None:
    """The same from the `logprobs` of a server's choice, of a chat or a plain completion; None without them."""
    found = choice.get("logprobs")
    if not choices or not isinstance(found, Mapping):
        return None
    if found.get("content"):
        top = [(str(t["token"]), float(t["logprob"])) for t in found["content"][0].get("top_logprobs", [])]
    elif found.get("top_logprobs"):
        top = [(str(token), float(value)) for token, value in found["top_logprobs"][0].items()]
    else:
        return None
    return from_top_tokens(top, choices)

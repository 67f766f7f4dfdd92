"""Number words as digits, so that `two dogs` and `2 dogs` are the same words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
SMALL = {word: number for number, word in enumerate(_UNITS.split())}
TENS = {word: 10 * number for number, word in enumerate(_TENS.split(), 2)}


def words_to_digits(words: Sequence[str]) -> list[str]:
    """Lower-case words with runs such as `twenty`, `three` as one word, `23`; up to 99, the rest stays."""
    return list(_converted(list(words)))


def _converted(words: list[str]) -> Iterator[str]:
    while words:
        word = words.pop(0)
        if word in TENS:
            follows = SMALL.get(words[0], 0) if words else 0
            units = follows if 1 <= follows <= 9 else 0
            del words[: 1 if units else 0]
            yield str(TENS[word] + units)
        else:
            yield str(SMALL[word]) if word in SMALL else word

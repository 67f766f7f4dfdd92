"""The ways in which published codes of TIES vote, count and divide.

x_i is the trimmed delta of expert i, w_i its weight. All experts whose sign is the elected one are summed and divided.

| rule | vote | agrees | sum | divisor | even vote |
| --- | --- | --- | --- | --- | --- |
| selma | sum w_i x_i | sign(w_i x_i) | w_i x_i | sum of agreeing abs(w_i) | + |
| peft | sum x_i, or of signs | sign(x_i) | w_i x_i | count | + |
| paper (KnOTS' code) | sum x_i | sign(x_i) | x_i | count | the layer's majority |
| sd-mecha | sum of signs, or x_i | sign(x_i) | x_i | count | nobody agrees |

`paper` and `sd-mecha` have no weights per expert: their result is multiplied by sum w_i, which is 1 by default.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import torch

from selma_core.errors import UserError


@attrs.frozen(kw_only=True)
class Coefficients:
    """Per expert: what x_i is multiplied by in the vote, in the sum, and what it adds to the divisor; and a factor."""

    voices: tuple[float, ...]
    parts: tuple[float, ...]
    shares: tuple[float, ...]
    factor: float = 1.0


@attrs.frozen(kw_only=True)
class Rule:
    """Attributes: weighted = the vote and the divisor use the weights; plain = the sum does not; frequency = signs
    vote, not values; even = the sign of an even vote: `plus`, `majority` or `none`."""

    name: str
    weighted: bool = False
    plain: bool = False
    frequency: bool = False
    even: str = "plus"

    def coefficients(self, weights: Sequence[float]) -> Coefficients:
        """What the weights become.

        Raises:
            UserError: a rule without weights, and weights that differ.
        """
        ones = (1.0,) * len(weights)
        if self.weighted:
            return Coefficients(voices=tuple(weights), parts=tuple(weights), shares=tuple(map(abs, weights)))
        if not self.plain:
            return Coefficients(voices=ones, parts=tuple(weights), shares=ones)
        if any(weight != weights[0] for weight in weights):
            raise UserError(f"ties: variant '{self.name}' knows no weights per expert; give equal ones or none")
        return Coefficients(voices=ones, parts=ones, shares=ones, factor=sum(weights))


SELMA = Rule(name="selma", weighted=True)
RULES = {
    rule.name: rule
    for rule in (
        SELMA,
        Rule(name="peft"),
        Rule(name="paper", plain=True, even="majority"),
        Rule(name="sd-mecha", plain=True, frequency=True, even="none"),
    )
}


def majority(votes: torch.Tensor, even: str) -> torch.Tensor:
    """The elected signs, in place: -1, +1, and for an even vote what `even` says."""
    signs = votes.sign_()
    if even == "none":
        return signs
    sign = -1.0 if even == "majority" and float(signs.sum()) < 0 else 1.0
    return signs.masked_fill_(signs == 0, sign)

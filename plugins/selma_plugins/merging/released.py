"""`selma_released`: what the script published with the paper computes, kept to reproduce its numbers.

It divides by the length of the base model's id, as text, instead of by the number of experts: 1/29 for
CompVis/stable-diffusion-v1-4, 1/30 for stabilityai/stable-diffusion-2, 1/40 for SDXL. Five experts then get 0.172,
0.167 and 0.125 of their mean, which is near the base model.
"""

from __future__ import annotations

from selma_core.errors import UserError
from selma_plugins.merging.claims import CONTRACT
from selma_plugins.merging.linear import Linear
from selma_plugins.merging.options import ReleasedOptions


class Released(Linear):
    """Does not keep the scale of equal experts, on purpose.

    Claims: permutation, gauge_invariance, missing_layers, determinism, weight_linearity, homogeneity, oddness,
    equals_linear, independence, expectation, optimality.
    """

    options: ReleasedOptions
    claims = Linear.claims - CONTRACT

    def weights(self, count: int, base: str) -> tuple[float, ...]:
        """1 / len(id) each.

        Raises:
            UserError: when no id is known.
        """
        model_id = self.options.model_id or base
        if not model_id:
            raise UserError("selma_released needs 'model_id': the experts do not say which base model they are for")
        return (1.0 / len(model_id),) * count

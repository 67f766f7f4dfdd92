"""The distance that teaches the adapter: to the complex prompt's embedding, and to the language model's vector.

    KL        T^2 KL(softmax(student / T) || softmax(teacher / T)) over the features of each token

The released code sums it over the tokens and divides by the batch; `normalise="mean"` divides by the tokens too.
Source: arXiv 2305.05189, section 3.3; directions and scale as measured on the released `SUR_adapter_train.py`.
"""

from __future__ import annotations

from typing import Literal

import attrs
import torch.nn.functional as F
from torch import Tensor

Kind = Literal["kl", "cosine", "mse"]
Direction = Literal["student_teacher", "teacher_student"]
Normalise = Literal["sum", "mean"]


@attrs.frozen(kw_only=True)
class Distance:
    """How far the student's tokens are from the teacher's.

    Attributes:
        kind: kl over the features as distributions, cosine (1 - cos), or mse (mean over the features).
        direction: of kl only; student_teacher is KL(student || teacher).
        normalise: sum over the tokens and mean over the batch (released), or mean over both.
        temperature: of kl only.
    """

    kind: Kind = "kl"
    direction: Direction = "student_teacher"
    normalise: Normalise = "sum"
    temperature: float = 1.0

    def __call__(self, student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
        """The loss, a scalar.

        Args:
            student: [B, L, d]. teacher: [B, L, d], or [B, 1, d] for the same at every token.
            mask: [B, L] bool, True = counts; None = every token does.
        """
        student = student.float()
        teacher = teacher.float().expand_as(student)
        each = self._each(student, teacher)  # [B, L]
        if mask is not None:
            each = each * mask
        if self.normalise == "sum":
            return each.sum() / len(each)
        return each.sum() / (each.numel() if mask is None else mask.sum().clamp(min=1))

    def _each(self, student: Tensor, teacher: Tensor) -> Tensor:
        if self.kind == "cosine":
            return 1 - F.cosine_similarity(student, teacher, dim=-1)
        if self.kind == "mse":
            return (student - teacher).square().mean(-1)
        first, second = (student, teacher) if self.direction == "student_teacher" else (teacher, student)
        first, second = first / self.temperature, second / self.temperature
        log_first, log_second = F.log_softmax(first, dim=-1), F.log_softmax(second, dim=-1)
        return self.temperature**2 * (log_first.exp() * (log_first - log_second)).sum(-1)

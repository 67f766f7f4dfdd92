"""The segment-level preference loss: which of two pictures agrees more with the sentences of a prompt.

Form: LongAlign, arXiv 2410.11817, section on Denscore (its Eq. 5 as we understand it: the training code is not
released), over PickScore's cross-entropy of two logits, arXiv 2305.01569.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import log_softmax, normalize


def mean_sentences(sentences: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
    """Unit features of all sentences [sum(counts), D] -> the mean of each prompt's [B, D], not normalised again."""
    return torch.stack([part.mean(0) for part in torch.split(sentences, list(counts))])


def preference_loss(
    better: torch.Tensor, worse: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy of the two logits [B] with soft labels, less the labels' own entropy, so that 0 is perfect.

    Args: better, worse = logit scale x mean cosine. labels [B] = 1, a tie 0.5. weights [B], normalised to mean 1.
    """
    logs = log_softmax(torch.stack([better, worse], dim=1), dim=1)
    wanted = torch.stack([labels, 1 - labels], dim=1)
    entropy = torch.special.entr(wanted).sum(1)
    losses: torch.Tensor = -(wanted * logs).sum(1) - entropy
    return (losses * weights / weights.mean()).mean()


def unit(found: Any) -> torch.Tensor:
    """The unit feature [B, D] in what `get_*_features` of transformers give: a tensor, or since version 5 an output."""
    return normalize(found if isinstance(found, torch.Tensor) else found.pooler_output, dim=-1)

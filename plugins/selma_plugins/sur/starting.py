"""Where a training begins that is given an adapter: at what its SUR-adapter has learnt."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from selma_core.errors import ArtifactError
from selma_plugins.diffusion.matched import passed_on
from selma_plugins.sur.encoder import NETWORK, PROJECTION


@torch.no_grad()
def start_network(adapter: Path | None, network: nn.Module, projection: nn.Module | None) -> None:
    """Sets network and projection to those of a start adapter; a plain LoRA has none, and leaves them fresh.

    Raises:
        ArtifactError: the adapter's network has another shape than the options ask for.
    """
    learnt = passed_on(adapter)
    if not learnt:
        return
    for prefix, module in ((NETWORK, network), (PROJECTION, projection)):
        for name, weight in module.named_parameters() if module is not None else ():
            value = learnt.get(f"{prefix}{name}")
            if value is None and prefix == PROJECTION:
                continue  # its teacher's projection was random, or it had no teacher
            if value is None or value.shape != weight.shape:
                raise ArtifactError(
                    f"{adapter}: its SUR-adapter has another {prefix}{name} than is trained here; give 'depth', "
                    "'heads' and 'teacher' as they were"
                )
            weight.copy_(value)

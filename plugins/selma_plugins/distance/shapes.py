"""`shapes_kid`: by the features that the second judge of the shapes world answers from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from selma_core.data import MetricInfo
from selma_core.errors import ModelError
from selma_core.pool import ModelKey
from selma_core.protocols import Context
from selma_plugins.distance.evaluator import KernelDistance

if TYPE_CHECKING:
    from selma_plugins.distance.kernel import Floats


class ShapesKid(KernelDistance):
    """Mean and maximum over the picture of each of the network's 64 feature maps, so 128 numbers."""

    metric: ClassVar = MetricInfo(
        name="shapes_kid",
        range=(None, None),
        higher_is_better=False,
        scale="unbiased squared kernel distance; 0 = as the references, lower is better",
    )

    def feature(self, path: Path, context: Context) -> Floats:
        """[128]."""
        import numpy as np
        import torch

        from selma_plugins.shapes.train.vae import to_tensor
        from selma_plugins.shapes.vqa.chat import open_pixels

        entry = context.entry("models", self.options.model)
        net = context.model(ModelKey(loader="shapes_vqa", pin=entry.pin), lambda: _load(entry.path))
        with torch.no_grad():
            maps = net.body(to_tensor(np.stack([open_pixels(path)])))[0].flatten(1)
        values: Floats = torch.cat([maps.mean(1), maps.amax(1)]).double().numpy()
        return values


def _load(path: Path | None) -> Any:
    from selma_plugins.shapes.vqa.network import load_net

    if path is None:
        raise ModelError("shapes_kid: the model has no folder on this machine; type: selma models fetch shapes_vqa")
    try:
        return load_net(path)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"shapes_kid cannot read the model folder {path}: {error}") from error

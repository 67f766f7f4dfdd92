"""`kid`: by the image features of a CLIP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from selma_core.data import MetricInfo
from selma_core.protocols import Context
from selma_plugins.distance.evaluator import KernelDistance

if TYPE_CHECKING:
    from selma_plugins.distance.kernel import Floats


class ClipKid(KernelDistance):
    """Features are those of the projection, not normalised, in fp32; the image is resized and cropped as CLIP's own
    processor does."""

    metric: ClassVar = MetricInfo(
        name="kid",
        range=(None, None),
        higher_is_better=False,
        scale="unbiased squared kernel distance; 0 = as the references, lower is better, within one network",
    )

    def feature(self, path: Path, context: Context) -> Floats:
        """[projection width]."""
        import torch

        from selma_plugins.preference.clip import load_clip
        from selma_plugins.preference.pixels import crop_file

        model = load_clip(context, context.entry("models", self.options.model))
        pixels = crop_file(path, int(model.config.vision_config.image_size))[None].to(model.device)
        with torch.no_grad():
            found = model.get_image_features(pixel_values=pixels).pooler_output[0]
        values: Floats = found.double().cpu().numpy()
        return values

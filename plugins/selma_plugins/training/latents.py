"""Images -> the autoencoder's moments, plain and mirrored, made once and sampled anew at every step.

Mean and log-variance are kept, not a sample, so the training distribution is the uncached one; both flips are kept
because the autoencoder of a mirrored image is not the mirrored latent. Images are encoded one at a time (as a pair of
flips), so that a moment depends on its image only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from PIL import Image
from safetensors.torch import load, save

from selma_core.data import ImageItem
from selma_core.errors import ArtifactError, UserError
from selma_core.files import make_folder, write_bytes


@attrs.frozen
class Moments:
    """Attributes: mean, logvar [2, C, h, w]: of the image and of its mirror image. size [2, 6]: see `Batch.sizes`."""

    mean: torch.Tensor
    logvar: torch.Tensor
    size: torch.Tensor


class LatentStore:
    """The moments of a list of images.

    Args:
        vae: an AutoencoderKL on its device. items: the images. resolution: side in pixels, or None.
        folder: cache for resume, content addressed by the image. keep: False encodes anew at every use.

    Raises:
        UserError: for an autoencoder without a diagonal Gaussian posterior.
    """

    def __init__(
        self, vae: Any, items: Sequence[ImageItem], resolution: int | None, folder: Path, *, keep: bool = True
    ) -> None:
        if not hasattr(vae, "encode") or not hasattr(vae.config, "latent_channels"):
            raise UserError(f"the trainer 'lora' needs an AutoencoderKL, not a {type(vae).__name__}")
        self._vae, self._items, self._resolution, self._keep = vae, items, resolution, keep
        self._folder = make_folder(folder)
        self._kept: list[Moments | None] = [None] * len(items)

    def fill(self, progress: Callable[[int], None]) -> None:
        """Encodes every image; then the autoencoder is no longer needed (unless nothing is kept)."""
        for index in range(len(self._items)):
            self.get(index)
            progress(index + 1)
        if self._keep:
            self._vae = None

    def get(self, index: int, place: Sequence[float] | None = None) -> Moments:
        """The moments of image `index`, on the CPU; with `place`, of a crop that lies there, encoded anew."""
        if place is not None:
            return self._encode(self._items[index], place)
        found = self._kept[index]
        if found is None:
            found = self._load(self._items[index])
            first = next((m for m in self._kept if m is not None), found)
            if first.mean.shape != found.mean.shape:
                raise UserError(f"{self._items[index].path}: the images differ in size; set the option 'resolution'")
            if self._keep:
                self._kept[index] = found
        return found

    def _load(self, item: ImageItem) -> Moments:
        path = self._folder / f"{item.sha256}.safetensors"
        if self._keep and path.is_file():
            return Moments(**load(path.read_bytes()))
        made = self._encode(item)
        if self._keep:
            write_bytes(path, save(attrs.asdict(made, recurse=False)))
        return made

    @torch.no_grad()
    def _encode(self, item: ImageItem, place: Sequence[float] | None = None) -> Moments:
        pixels, size = read_pixels(item.path, self._resolution, place)
        pair = torch.stack([pixels, pixels.flip(-1)])
        posterior = self._vae.encode(pair.to(self._vae.device, self._vae.dtype)).latent_dist
        return Moments(posterior.mean.float().cpu().contiguous(), posterior.logvar.float().cpu().contiguous(), size)


def read_pixels(
    path: Path, resolution: int | None, place: Sequence[float] | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """An image as [3, H, W] in [-1, 1], resized by its short side and cropped; and its size conditioning [2, 6], as it
    is and mirrored.

    Args:
        resolution: side of the square, None for the image as it is.
        place: where the square lies in the room it has, (down, across) in [0, 1); None is the centre.

    Raises:
        ArtifactError: for a file that is no image.
    """
    try:
        with Image.open(path) as file:
            image = file.convert("RGB")
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: is no readable image ({error})") from None
    width, height = image.size
    top = left = right = 0
    if resolution is not None and (width, height) != (resolution, resolution):
        scale = resolution / min(width, height)
        image = image.resize((max(resolution, round(width * scale)), max(resolution, round(height * scale))))
        down, across = image.height - resolution, image.width - resolution
        top, left = down // 2, across // 2
        right = left
        if place is not None:
            top, left = (int(at * (room + 1)) for at, room in zip(place, (down, across), strict=True))
            right = across - left  # where the crop begins in the mirrored image
        image = image.crop((left, top, left + resolution, top + resolution))
    pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 127.5 - 1.0
    sizes = [[height, width, top, start, image.height, image.width] for start in (left, right)]
    return pixels, torch.tensor(sizes, dtype=torch.float32)


def scaled(vae_config: Any, latents: torch.Tensor) -> torch.Tensor:
    """Latents as the denoiser knows them: shifted and scaled by the autoencoder's config."""
    mean, std = vae_config.get("latents_mean"), vae_config.get("latents_std")
    if mean is not None and std is not None:
        shape = (1, -1, 1, 1)
        centred = latents - torch.tensor(mean).view(shape).to(latents)
        return centred * float(vae_config.scaling_factor) / torch.tensor(std).view(shape).to(latents)
    return (latents - float(vae_config.get("shift_factor") or 0.0)) * float(vae_config.scaling_factor)

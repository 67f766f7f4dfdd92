"""One image outside of any recipe: a prompt, a generator with its options, perhaps an adapter."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selma_core.config import bind_options
from selma_core.data import ImageRequest, Prompt
from selma_core.errors import StageError, UserError
from selma_core.protocols import Attachable, ImageJob

if TYPE_CHECKING:
    from PIL.Image import Image

    from selma_core.catalog import Catalog
    from selma_core.registry import Registry

_ADAPTER_NAME = "pytorch_lora_weights.safetensors"


def generate_image(
    prompt: str,
    options: Mapping[str, Any],
    *,
    catalog: Catalog,
    registry: Registry,
    generator: str = "diffusers",
    adapter: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    report: Callable[[Mapping[str, Any]], None] | None = None,
) -> Image:
    """Draws one RGB image.

    Args:
        options: of the generator, as a recipe writes them. adapter: a LoRA file, or a folder that holds one.
        seed: of this image itself; the `seed` of an image's metadata row draws that image again.
        report: gets progress and warnings as JSON.

    Raises:
        UserError: unknown generator, wrong option, missing model or adapter. StageError: no image came.
    """
    from selma_core.stages.context import StageContext

    offer = catalog.find("image_generator", generator)
    origins = {f"options.{name}": "the command line" for name in options}
    bound = bind_options(offer, options, path="options", origins=origins, catalog=catalog, registry=registry)
    file = None if adapter is None else adapter_path(adapter)
    request = ImageRequest(prompt=Prompt(id="prompt", text=prompt), k=0, seed=seed)
    with tempfile.TemporaryDirectory(prefix="selma-generate-") as folder:
        context = StageContext(
            seed=seed,
            workdir=Path(folder),
            catalog=catalog,
            registry=registry,
            report=report or (lambda event: None),
            wanted_device=device,
        )
        built = catalog.build(offer, bound)
        if isinstance(built, Attachable):
            built.attach(context)
        for _, image in built.images(ImageJob(context=context, requests=(request,), adapter=file)):
            return image  # type: ignore[no-any-return]
    raise StageError(f"image_generator '{offer.qualified}' gave no image")


def adapter_path(path: Path) -> Path:
    """The LoRA file that a file or folder stands for.

    Raises:
        UserError: there is none.
    """
    path = path.expanduser()
    file = path / _ADAPTER_NAME if path.is_dir() else path
    if not file.is_file():
        raise UserError(f"adapter {path}: there is no file {file}")
    if file.suffix != ".safetensors":
        raise UserError(f"adapter {path}: only .safetensors files are read")
    return file

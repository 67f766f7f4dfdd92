"""One image outside of any recipe: a prompt, a generator with its options, perhaps adapters."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selma_core.config import bind_options
from selma_core.config.problems import COMMAND_LINE
from selma_core.data import ImageRequest, Prompt
from selma_core.errors import StageError
from selma_core.protocols import Attachable, ImageJob

if TYPE_CHECKING:
    from PIL.Image import Image

    from selma_core.catalog import Catalog
    from selma_core.registry import Registry


def generate_image(
    prompt: str,
    options: Mapping[str, Any],
    *,
    catalog: Catalog,
    registry: Registry,
    generator: str = "diffusers",
    adapters: Sequence[Path] = (),
    seed: int = 0,
    device: str = "auto",
    origin: str = COMMAND_LINE,
    note: Callable[[str], None] = lambda line: None,
) -> Image:
    """Draws one RGB image.

    Args:
        options: of the generator, as a recipe writes them.
        adapters: LoRA files or folders of any form that `selma adapter convert` reads; several are applied side by
            side, unmerged, each at weight 1/T unless the generator's `adapter_weights` says otherwise.
        seed: of this image itself; the `seed` of an image's metadata row draws that image again.
        origin: who set the options, for errors. Warnings go to the logger `selma`.
        note: gets the generator's notes, like how many segments and tokens of the prompt are used.

    Raises:
        UserError: unknown generator, wrong option, missing model. ArtifactError: an adapter that cannot be read.
        StageError: no image came.
    """
    from selma_core.stages.context import StageContext

    offer = catalog.find("image_generator", generator)
    origins = {f"options.{name}": origin for name in options}
    bound = bind_options(offer, options, path="options", origins=origins, catalog=catalog, registry=registry)
    request = ImageRequest(prompt=Prompt(id="prompt", text=prompt), k=0, seed=seed)
    with tempfile.TemporaryDirectory(prefix="selma-generate-") as folder:
        files = tuple(_canonical(path.expanduser(), Path(folder), place) for place, path in enumerate(adapters))
        context = StageContext(
            seed=seed,
            workdir=Path(folder),
            catalog=catalog,
            registry=registry,
            report=lambda event: _tell(event, note),
            wanted_device=device,
        )
        built = catalog.build(offer, bound)
        if isinstance(built, Attachable):
            built.attach(context)
        one, several = (files[0], ()) if len(files) == 1 else (None, files)
        job = ImageJob(context=context, requests=(request,), adapter=one, adapters=several)
        for _, image in built.images(job):
            return image  # type: ignore[no-any-return]
    raise StageError(f"image_generator '{offer.qualified}' gave no image")


def _tell(event: Mapping[str, Any], note: Callable[[str], None]) -> None:
    if event.get("event") == "warning":
        logging.getLogger("selma").warning("%s", event.get("message"))
    elif event.get("note"):
        note(str(event["note"]))


def _canonical(path: Path, folder: Path, place: int) -> Path:
    """The adapter as generators take it: the file itself where it has that form, else a copy in `folder`."""
    from selma_core.artifacts.lora_export import export_adapter
    from selma_core.artifacts.lora_reader import read_layers

    reader = read_layers(path)
    if reader.form == "native" and all(reader.scale(layer) == 1.0 for layer in reader.names()):
        return reader.files[0]
    return export_adapter(path, folder / f"adapter{place}.safetensors", "diffusers").path

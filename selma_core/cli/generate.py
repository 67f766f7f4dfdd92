"""`selma generate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from selma_core.cli.common import Json, PluginFiles, open_catalog, option_flag, print_json
from selma_core.config.layers import Layers
from selma_core.config.overrides import apply_overrides
from selma_core.registry import Registry

Options = Annotated[tuple[str, ...], option_flag("An option of the generator, like `-o negative_prompt=blurry`")]

Adapters = Annotated[
    tuple[Path, ...],
    Parameter(
        help="A LoRA file or folder of any form; given again, several are applied side by side, unmerged.",
        negative="",
        consume_multiple=False,
        show_default=False,
    ),
]


def generate_command(
    prompt: Annotated[str, Parameter(help="What to draw.")],
    /,
    *,
    model: Annotated[str | None, Parameter(help="Registry name, folder, or hub:owner/name@COMMIT.")] = None,
    adapter: Adapters = (),
    seed: Annotated[int, Parameter(help="Seed of this image.")] = 0,
    steps: Annotated[int | None, Parameter(help="Denoising steps.")] = None,
    guidance: Annotated[float | None, Parameter(help="Guidance scale.")] = None,
    out: Annotated[Path, Parameter(help="The PNG to write.")] = Path("out.png"),
    option: Options = (),
    generator: Annotated[str, Parameter(help="The image generator (see: selma plugins list).")] = "diffusers",
    device: Annotated[str, Parameter(help="A torch device; auto = the GPU if there is one.")] = "auto",
    json: Json = False,
    plugin: PluginFiles = (),
) -> None:
    """Draw one image.

    Example: `selma generate "two red circles" --model shapes_base --seed 3 --out circles.png`
    """
    from rich.console import Console

    from selma_core.artifacts.images import png_bytes
    from selma_core.drawing import generate_image
    from selma_core.files import make_folder, write_bytes

    catalog = open_catalog(plugin)
    console = Console(stderr=True)
    with console.status("drawing"):
        image = generate_image(
            prompt,
            _options({"model": model, "steps": steps, "guidance": guidance}, option),
            catalog=catalog,
            registry=Registry(catalog.registry_sources()),
            generator=generator,
            adapters=adapter,
            seed=seed,
            device=device,
            note=lambda line: console.print(line, highlight=False, markup=False),
        )
    make_folder(out.parent)
    write_bytes(out, png_bytes(image))
    if json:
        print_json(
            {"path": str(out.resolve()), "prompt": prompt, "seed": seed, "width": image.width, "height": image.height}
        )
    else:
        print(out)


def _options(named: Mapping[str, Any], overrides: tuple[str, ...]) -> dict[str, Any]:
    layers = Layers()
    layers.add({name: value for name, value in named.items() if value is not None}, "the command line")
    apply_overrides(layers, overrides)
    return layers.data

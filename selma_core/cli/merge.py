"""`selma merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from selma_core.cli.common import Json, PluginFiles, open_catalog, option_flag, print_json
from selma_core.config.layers import Layers
from selma_core.config.overrides import apply_overrides
from selma_core.errors import UserError
from selma_core.registry import Registry

Options = Annotated[tuple[str, ...], option_flag("An option of the strategy, like `-o density=0.3`")]


def merge_command(
    *files: Annotated[Path, Parameter(help="LoRA files of diffusers, peft, kohya or ComfyUI, or folders of adapters.")],
    strategy: Annotated[str, Parameter(help="A merge strategy (see: selma plugins list --kind merge_strategy).")],
    out: Annotated[Path, Parameter(help="The .safetensors file to write.")],
    option: Options = (),
    weights: Annotated[str | None, Parameter(help="One per file, like `0.7,0.3`; default 1/T each.")] = None,
    rank: Annotated[int | None, Parameter(help="Re-compress to this rank; default exact.")] = None,
    dtype: Annotated[str, Parameter(help="Of the tensors written: float32, float16, bfloat16.")] = "float32",
    to: Annotated[str, Parameter(help="diffusers (also read by peft), kohya, comfyui or peft-dir.")] = "diffusers",
    base: Annotated[str | None, Parameter(help="Id of the base model; default what the files say.")] = None,
    seed: Annotated[int, Parameter(help="Seed of random masks.")] = 0,
    json: Json = False,
    plugin: PluginFiles = (),
) -> None:
    """Merge LoRA files into one, layer by layer, without loading a base model.

    Example: `selma merge a.safetensors b.safetensors --strategy linear --weights 0.7,0.3 --rank 16 --out m.safetensors`
    """
    from selma_core.cli.progress import bar
    from selma_core.merge_adapters import merge_lora_files

    catalog = open_catalog(plugin)
    with bar("merging") as progress:
        card = merge_lora_files(
            files,
            strategy,
            _options(option, weights, rank),
            out,
            catalog=catalog,
            registry=Registry(catalog.registry_sources()),
            base=base,
            seed=seed,
            dtype=dtype,
            form=to,
            progress=progress,
        )
    if json:
        print_json({"path": str(out.resolve()), **card})
    else:
        print(out)


def _options(given: tuple[str, ...], weights: str | None, rank: int | None) -> dict[str, Any]:
    layers = Layers()
    named: dict[str, Any] = {} if rank is None else {"rank": rank}
    if weights is not None:
        named["weights"] = _numbers(weights)
    layers.add(named, "the command line")
    apply_overrides(layers, given)
    return layers.data


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"--weights '{text}': give numbers with commas between them, like 0.7,0.3") from None

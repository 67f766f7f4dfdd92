"""`selma adapter show`, `convert`, `diff`, `fuse`, `card`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from selma_core.cli.common import Json, PluginFiles, open_registry, print_json, print_table
from selma_core.cli.store import StoreFolder

app = App(
    name="adapter",
    help="Look at LoRA files, convert, compare and fuse them.\n\nExample: `selma adapter show lora.safetensors`",
)
File = Annotated[
    Path, Parameter(help="A LoRA file of any program (diffusers, kohya, ComfyUI), an adapter's or a PEFT folder.")
]
_SHOWN = 96  # characters of a header field in the table


@app.command(name="show")
def show_command(
    name: File,
    /,
    *,
    layers: Annotated[bool, Parameter(help="Also a line for each layer.", negative="", show_default=False)] = False,
    json: Json = False,
) -> None:
    """Show what a LoRA holds: form, base, layers, ranks, scales, norms, and what its header says.

    Example: `selma adapter show lora.safetensors --layers`
    """
    from selma_core.adapters.describe import describe

    found = describe(name)
    if json:
        print_json(found)
        return
    print_table((), _summary(found))
    if layers:
        print()
        columns = ("layer", "shape", "rank", "alpha", "scale", "norm")
        rows = [(*(layer[key] for key in ("name", "shape", "rank", "alpha")), layer) for layer in found["layers"]]
        print_table(columns, [(*row[:-1], f"{row[-1]['scale']:.4g}", f"{row[-1]['norm']:.4g}") for row in rows])


@app.command(name="convert")
def convert_command(
    name: File,
    /,
    *,
    to: Annotated[str, Parameter(help="diffusers, kohya, comfyui or peft-dir.")],
    out: Annotated[Path, Parameter(help="The .safetensors file (peft-dir: the folder) to write.")],
    dtype: Annotated[str, Parameter(help="float32 (exact), float16 or bfloat16.")] = "float32",
    family: Annotated[str | None, Parameter(help="sd1, sd2 or sdxl; default: what file and shapes say.")] = None,
    json: Json = False,
) -> None:
    """Write a LoRA in the form of another program, and compare the copy with it layer by layer.

    Example: `selma adapter convert lora.safetensors --to kohya --out lora_kohya.safetensors --dtype float16`
    """
    from selma_core.artifacts.lora_export import export_adapter
    from selma_core.cli.progress import bar

    with bar("converting") as progress:
        done = export_adapter(name, out, to, dtype=dtype, family=family, progress=progress)
    if json:
        fields = {"form": done.form, "dtype": done.dtype, "family": done.family, "layers": done.layers}
        print_json({"path": str(out.resolve()), **fields, "max_error": done.max_error, "manifest": done.manifest})
    else:
        print(f"{out}: {done.layers} layers, read back: off by {done.max_error:.1e} of a layer's norm at most")


@app.command(name="diff")
def diff_command(
    a: File,
    b: File,
    /,
    *,
    picture: Annotated[Path | None, Parameter(help="A PNG to write: a cell per layer.", show_default=False)] = None,
    layers: Annotated[bool, Parameter(help="Also a line for each layer.", negative="", show_default=False)] = False,
    json: Json = False,
) -> None:
    """Compare two LoRAs: cosine and norm ratio of their deltas, in all and per layer.

    Example: `selma adapter diff count.safetensors relation.safetensors --picture diff.png`
    """
    from selma_core.adapters.compare import compare
    from selma_core.adapters.picture import draw
    from selma_core.cli.progress import bar

    with bar("comparing") as progress:
        found = compare(a, b, progress)
    if picture is not None:
        draw(found, picture)
    if json:
        print_json({**found, "picture": None if picture is None else str(picture.resolve())})
        return
    rows = [("cosine", _short(found["cosine"])), ("|B| / |A|", _short(found["norm_ratio"]))]
    rows += [("|B - A| / |A|", _short(found["difference"])), ("common layers", str(found["common"]))]
    rows += [(f"only in {which}", str(len(found[f"only_{which}"]))) for which in "ab"]
    print_table((), rows)
    if layers:
        print()
        lines = [
            (layer["name"], *(_short(layer[key]) for key in ("cosine", "norm_ratio"))) for layer in found["layers"]
        ]
        print_table(("layer", "cosine", "|B| / |A|"), lines)


@app.command(name="fuse")
def fuse_command(
    name: File,
    /,
    *,
    model: Annotated[str, Parameter(help="Registry name, folder, or hub:owner/name@COMMIT.")],
    out: Annotated[Path, Parameter(help="The new folder, in diffusers' format.")],
    weight: Annotated[float, Parameter(help="Of the adapter.", allow_leading_hyphen=True)] = 1.0,
    dtype: Annotated[
        str | None, Parameter(help="float32, float16 or bfloat16 for all weights; default: as they are.")
    ] = None,
    json: Json = False,
    plugin: PluginFiles = (),
) -> None:
    """Write a model's folder with a LoRA fused into its weights, without loading the model.

    Example: `selma adapter fuse lora.safetensors --model shapes_base --out shapes_with_lora --weight 0.8`
    """
    from selma_core.adapters.fuse import fuse_folder
    from selma_core.cli.progress import bar
    from selma_core.errors import ModelError

    entry = open_registry(plugin).entry("models", model)
    if entry.path is None:
        raise ModelError(f"model '{model}' is not on this machine; type: selma models fetch {model}")
    with bar("fusing") as progress:
        card = fuse_folder(name, entry.path, out, weight=weight, dtype=dtype, progress=progress)
    if json:
        print_json({"path": str(out.resolve()), **card})
    else:
        print(out)


@app.command(name="card")
def card_command(
    name: Annotated[
        str, Parameter(help="A LoRA file or folder, RUN:STAGE like latest:merge, a fingerprint; with --run a stage.")
    ],
    /,
    *,
    run: Annotated[str | None, Parameter(help="Only what this run measured: its id, or latest.")] = None,
    out: Annotated[Path | None, Parameter(help="The README.md to write; default: stdout.", show_default=False)] = None,
    title: Annotated[str, Parameter(help="Default: the stage's or the file's name.", show_default=False)] = "",
    license: Annotated[str, Parameter(help="Its id on the hub, like apache-2.0.", show_default=False)] = "",
    store: StoreFolder = None,
    plugin: PluginFiles = (),
) -> None:
    """Write a model card for an adapter: how it was made, what was measured, how to load it.

    Example: `selma adapter card latest:merge --license apache-2.0 --out README.md`
    """
    from selma_core.adapters.card import adapter_card
    from selma_core.files import make_folder, write_bytes

    text = adapter_card(name, run=run, license=license, title=title, store=store, plugins=plugin)
    if out is None:
        print(text, end="")
    else:
        make_folder(out.parent)
        write_bytes(out, text.encode())
        print(out)


def _summary(found: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [("file", found["path"]), ("form", found["form"]), ("family", found["family"] or "unknown")]
    if found["encoder"]:
        rows.append(("text encoder", _cut({key: value for key, value in found["encoder"].items() if value})))
    rows += [("base", found["base"] or "unknown"), ("size", f"{found['bytes'] / 1e6:.1f} MB")]
    for title in ("dtypes", "ranks", "alphas", "scales"):
        rows.append((title, ", ".join(f"{value} ({count} layers)" for value, count in found[title].items())))
    for component, own in found["components"].items():
        text = f"{own['layers']} layers, {own['parameters'] / 1e6:.2f} M numbers, norm {own['norm']:.4g}"
        rows.append((component, text))
    return [*rows, *((key, _cut(value)) for key, value in found["metadata"].items())]


def _cut(value: Any) -> str:
    from json import dumps

    text = value if isinstance(value, str) else dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... (whole: --json)"


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"

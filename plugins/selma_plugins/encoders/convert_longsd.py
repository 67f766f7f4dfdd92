"""``python -m selma_plugins.encoders.convert_longsd OUT --adapter FOLDER --lora FILE``: LongSD as an adapter folder.

LongAlign's released weights are a folder with the T5 rows' adapter (`s28750_adapter`) and files of LoRA factors
(`s28750_lora_vis.pt` of phase S, `sd15-reward-3750.pt` of phase R), each a flat list `[up, down, up, down, ...]` over
the layers of the UNet in its modules' order, without a name. Several files become one adapter: their deltas are added.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from selma_core.artifacts.adapter import write_adapter
from selma_core.errors import ArtifactError, UserError
from selma_core.files import make_folder
from selma_core.options import Slot
from selma_core.protocols import TrainedAdapter
from selma_plugins.diffusion.matched import card_of
from selma_plugins.diffusion.released import read_released
from selma_plugins.encoders.options import LongAlignOptions
from selma_plugins.encoders.t5_branch import CARD, PREFIX
from selma_plugins.encoders.text_adapter import TextAdapter, Widths

BASE = "stable-diffusion-v1-5/stable-diffusion-v1-5"
T5 = "t5_large"
SPLITTERS = ("official", "sentence")
# Every Linear and Conv2d under one of these has factors.
UNDER = ("ResnetBlock2D", "CrossAttention", "Attention", "GEGLU")
RENAMED = (
    ("ff1.net.0.proj.", "gated1.widen."),
    ("ff1.net.2.", "gated1.narrow."),
    ("ff2.net.0.proj.", "gated2.widen."),
    ("ff2.net.2.", "gated2.narrow."),
    ("norm1.", "norm1."),
    ("norm2.", "norm2."),
)
FILES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")


def layers_of(unet: nn.Module) -> dict[str, nn.Module]:
    """The layers with factors by path, in the files' order: that of the blocks, then that within a block."""
    names = {id(module): name for name, module in unet.named_modules()}
    found: dict[str, nn.Module] = {}
    for block in unet.modules():
        if type(block).__name__ in UNDER:
            inner = (module for module in block.modules() if isinstance(module, nn.Linear | nn.Conv2d))
            found |= {names[id(module)]: module for module in inner}
    return found


def factors_of(released: Any, unet: nn.Module, file: Path) -> dict[str, Tensor]:
    """A released list as canonical tensors (`unet.<path>.lora_A.weight`, ...), fp32; the scale is 1.

    Raises:
        ArtifactError: it is no such list, or another UNet's.
    """
    layers = layers_of(unet)
    if not isinstance(released, list | tuple) or not all(isinstance(value, Tensor) for value in released):
        raise ArtifactError(f"{file}: is no list of tensors, as LongSD's LoRA files are")
    if len(released) != 2 * len(layers):
        raise ArtifactError(
            f"{file}: holds {len(released)} tensors, the UNet's {len(layers)} layers need {2 * len(layers)}; "
            "name the UNet that it is for with --unet"
        )
    found: dict[str, Tensor] = {}
    for (name, layer), up, down in zip(layers.items(), released[::2], released[1::2], strict=True):
        _check_fits(name, layer, up, down, file)
        found[f"unet.{name}.lora_A.weight"] = down.detach().float().contiguous()
        found[f"unet.{name}.lora_B.weight"] = up.detach().float().contiguous()
    return found


def adapter_of(released: Any, file: Path) -> tuple[dict[str, Tensor], Widths]:
    """The released adapter's tensors as the encoder stores them, fp32, and its widths.

    Raises:
        ArtifactError: it is no such adapter.
    """
    if not isinstance(released, Mapping):
        raise ArtifactError(f"{file}: is no plain state dict")
    found: dict[str, Tensor] = {}
    for name, value in released.items():
        new = next((new + name.removeprefix(old) for old, new in RENAMED if name.startswith(old)), None)
        if new is None:
            raise ArtifactError(f"{file}: '{name}' is no tensor of LongAlign's T5 adapter")
        found[new] = value.detach().float().contiguous()
    try:
        widths = Widths(
            t5=len(found["norm1.weight"]), hidden=len(found["norm2.weight"]), clip=len(found["gated2.narrow.bias"])
        )
    except KeyError as error:
        raise ArtifactError(f"{file}: holds no {error}, so it is no T5 adapter of LongAlign") from None
    with torch.device("meta"):
        own = TextAdapter(widths).state_dict()
    wrong = [name for name in own if name not in found or found[name].shape != own[name].shape]
    wrong += [name for name in found if name not in own]
    if wrong:
        raise ArtifactError(f"{file}: '{wrong[0]}' is missing, or of another shape than LongAlign's adapter has")
    return {f"{PREFIX}{name}": value for name, value in found.items()}, widths


def convert(
    out: Path,
    *,
    adapter: Path,
    loras: Sequence[Path],
    base: str = BASE,
    t5: str = T5,
    splitter: str = SPLITTERS[0],
    unet: Path | None = None,
) -> None:
    """Writes released weights as an adapter folder, to be drawn with as they were trained.

    Args: out = a folder that does not exist yet. adapter = the T5 adapter's folder or file. loras = LoRA files, whose
        deltas are added; none = the T5 adapter alone, to start a training from. base, t5, splitter = as the card
        names them. unet = folder with the UNet's `config.json`, or of the pipeline; None = Stable Diffusion 1.x's.

    Raises:
        ArtifactError: a file cannot be read, or holds something else. UserError: `out` exists; there is no UNet.
    """
    if out.exists():
        raise UserError(f"{out} exists; name a folder that does not")
    file = _adapter_file(adapter)
    learnt, widths = adapter_of(read_released(file), file)
    model = _unet(unet) if loras else None
    parts = [factors_of(read_released(lora), model, lora) for lora in loras if model is not None]
    tensors = _added(parts)
    rank = max((value.shape[0] for name, value in tensors.items() if ".lora_A." in name), default=0)
    options = {"splitter": splitter, "t5": t5, "t5_hidden": widths.hidden}
    if widths.hidden == attrs.fields(LongAlignOptions).t5_hidden.default:
        options.pop("t5_hidden")
    card = {
        "base": base,
        "method": "longalign",
        "released": True,
        **({"rank": rank, "alpha": rank} if rank else {}),
        **card_of(Slot("longalign", options)),
        CARD: {"widths": attrs.asdict(widths)},
    }
    write_adapter(make_folder(out), TrainedAdapter(tensors=tensors, metadata=card, encoder=learnt))


def _added(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """One LoRA whose delta is the sum: the factors side by side."""
    names = parts[0] if parts else {}
    return {name: torch.cat([part[name] for part in parts], 0 if ".lora_A." in name else 1) for name in names}


def _check_fits(name: str, layer: nn.Module, up: Tensor, down: Tensor, file: Path) -> None:
    weight = layer.get_parameter("weight")
    rank = down.shape[0] if down.dim() else 0
    ones = (1,) * (weight.dim() - 2)
    if up.shape != (weight.shape[0], rank, *ones) or down.shape[1:] != weight.shape[1:]:
        raise ArtifactError(
            f"{file}: the factors {list(up.shape)} and {list(down.shape)} do not fit layer '{name}' "
            f"{list(weight.shape)}: another UNet, or another order"
        )


def _adapter_file(path: Path) -> Path:
    if path.is_file():
        return path
    found = next((path / name for name in FILES if (path / name).is_file()), None)
    if found is None:
        raise ArtifactError(f"{path}: holds neither {' nor '.join(FILES)}")
    return found


def _unet(folder: Path | None) -> nn.Module:
    """The UNet without weights; only its layers count."""
    with torch.device("meta"):
        if folder is None:
            made: nn.Module = UNet2DConditionModel(sample_size=64, cross_attention_dim=768)
            return made
        place = next((one for one in (folder / "unet", folder) if (one / "config.json").is_file()), None)
        if place is None:
            raise UserError(f"--unet: {folder} holds no unet/config.json and no config.json")
        config = UNet2DConditionModel.load_config(place, local_files_only=True)
        made = UNet2DConditionModel.from_config(config)
        return made


def _arguments() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "out", {"type": Path, "help": "folder to write"}
    yield "--adapter", {"type": Path, "required": True, "help": "s28750_adapter, or its file"}
    yield "--lora", {"type": Path, "action": "append", "default": [], "help": "s28750_lora_vis.pt; may be repeated"}
    yield "--base", {"default": BASE, "help": f"the model it was trained for; default {BASE}"}
    yield "--t5", {"default": T5, "help": f"the T5 beside it, as text_encoder.options.t5 takes it; default {T5}"}
    yield (
        "--splitter",
        {"choices": SPLITTERS, "default": SPLITTERS[0], "help": "official: what LongSD was trained with"},
    )
    yield "--unet", {"type": Path, "help": "folder with the UNet's config.json; default: Stable Diffusion 1.x's"}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="selma_plugins.encoders.convert_longsd", description=__doc__)
    for name, settings in _arguments():
        parser.add_argument(name, **settings)
    given = vars(parser.parse_args())
    try:
        convert(given.pop("out"), loras=given.pop("lora"), **given)
    except (ArtifactError, UserError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

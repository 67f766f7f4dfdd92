"""``python -m selma_plugins.sur.convert FILE OUT --base MODEL``: a released `adapter.pt` as an adapter folder.

The released file is a plain state dict: without eta (the demo reads it from the path), without the base's name, with
layers that are never used. FILE may be safetensors, or the `.pt` itself (`selma_plugins.diffusion.released`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs
from torch import Tensor

from selma_core.artifacts.adapter import write_adapter
from selma_core.errors import ArtifactError, UserError
from selma_core.files import make_folder
from selma_core.options import Slot
from selma_core.protocols import TrainedAdapter
from selma_plugins.diffusion.matched import card_of
from selma_plugins.diffusion.released import read_released
from selma_plugins.sur.encoder import CARD, NETWORK, Build

RENAMED = (
    ("transformer_encoder.layers.", "layers."),
    ("attention.query_layer.", "query."),
    ("attention.key_layer.", "key."),
    ("attention.output_layer.", "mlp."),
    ("fc.", "fc."),
)
UNUSED = ("encoder_layer.", "attention.value_layer.")


def network_of(released: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a released state dict under our names, fp32; those of layers that are never used are left out.

    Raises:
        ArtifactError: a tensor that the released adapter has not.
    """
    found: dict[str, Tensor] = {}
    for name, value in released.items():
        bare = name.removeprefix("module.")
        if bare.startswith(UNUSED):
            continue
        new = next((new + bare.removeprefix(old) for old, new in RENAMED if bare.startswith(old)), None)
        if new is None:
            raise ArtifactError(f"'{name}' is no tensor of the released SUR-adapter")
        found[new] = value.float().contiguous()
    return found


def convert(file: Path, out: Path, *, base: str, eta: float) -> None:
    """Writes a released adapter as an adapter folder, to be drawn with as released (legacy, convex).

    Args:
        file: safetensors, or `adapter.pt`. out: a folder that does not exist yet. base: the model it was trained for.
        eta: as the released demo reads it from the path; 0.1 in the paper's settings.

    Raises:
        ArtifactError: the file cannot be read, or holds something else. UserError: `out` exists.
    """
    if out.exists():
        raise UserError(f"{out} exists; name a folder that does not")
    weights = network_of(_read(file))
    if "fc.weight" not in weights:
        raise ArtifactError(f"{file}: holds no 'fc.weight', so it is no SUR-adapter")
    depth = len({name.split(".")[1] for name in weights if name.startswith("layers.")})
    build = Build(width=len(weights["fc.weight"]), depth=depth, eta=eta, residual="convex", legacy=True)
    own = build.network(0).state_dict()
    wrong = [name for name in {**own, **weights} if name not in weights or name not in own]
    wrong += [name for name in own if name in weights and own[name].shape != weights[name].shape]
    if wrong:
        raise ArtifactError(f"{file}: '{wrong[0]}' is missing, or of another shape than the released adapter's")
    card = {
        "base": base,
        "method": "sur_adapter",
        "released": True,
        **card_of(Slot("sur_adapter")),
        CARD: attrs.asdict(build),
    }
    learnt = {f"{NETWORK}{name}": value for name, value in weights.items()}
    write_adapter(make_folder(out), TrainedAdapter(tensors={}, metadata=card, encoder=learnt))


def _read(file: Path) -> dict[str, Tensor]:
    found = read_released(file)
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ArtifactError(f"{file}: is no plain state dict")
    return found


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="selma_plugins.sur.convert", description=__doc__)
    parser.add_argument("file", type=Path, help="adapter.pt, or the same as safetensors")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--base", required=True, help="the model it was trained for")
    parser.add_argument("--eta", type=float, default=0.1)
    args = parser.parse_args()
    try:
        convert(args.file, args.out, base=args.base, eta=args.eta)
    except (ArtifactError, UserError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Reading a LoRA file layer by layer: fp32 factors with the scale folded into B."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selma_core.artifacts.lora_keys import Part, parse_name
from selma_core.artifacts.tensor_file import read_header
from selma_core.errors import ArtifactError
from selma_core.protocols import Factors

if TYPE_CHECKING:
    import torch

CONFIG_KEY = "lora_adapter_metadata"


class LayerReader:
    """A LoRA file, opened for reading one layer at a time; `read_layers` makes one.

    Attributes:
        file: the safetensors file.
        metadata: the text fields of its header.
    """

    def __init__(self, file: Path) -> None:
        header = read_header(file)
        self.file = file
        self.metadata: Mapping[str, str] = header.metadata
        self._config = _config(file, header.metadata)
        self._parts: dict[str, dict[Part, str]] = {}
        for name in header.shapes:
            found = parse_name(name, str(file))
            self._parts.setdefault(found.layer, {})[found.part] = name
        for layer, parts in self._parts.items():
            self._check(layer, parts, header.shapes)

    def names(self) -> list[str]:
        """The layers, sorted: `unet.<path>`, `transformer.<path>`, `text_encoder.<path>`."""
        return sorted(self._parts)

    def factors(self, name: str) -> Factors:
        """B and A of a layer in fp32, so that the delta is `up @ down`.

        Raises:
            ArtifactError: when a tensor holds NaN or infinity; the message names it.
        """
        parts = self._parts[name]
        up, down = self._tensor(parts["up"]), self._tensor(parts["down"])
        scale = self._scale(name, rank=down.shape[0])
        return Factors(up=up if scale == 1.0 else up * scale, down=down)

    def _tensor(self, key: str) -> torch.Tensor:
        import torch
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.file, framework="pt") as file:
                value: torch.Tensor = file.get_tensor(key).to(torch.float32)
        except SafetensorError as error:
            raise ArtifactError(f"{self.file}: tensor '{key}' cannot be read ({error})") from None
        if not bool(torch.isfinite(value).all()):
            raise ArtifactError(f"{self.file}: tensor '{key}' holds NaN or infinity")
        return value

    def _scale(self, layer: str, rank: int) -> float:
        stored = self._parts[layer].get("alpha")
        if stored is not None:
            return float(self._tensor(stored)) / rank
        component, path = layer.split(".", 1)
        config = {
            key.partition(".")[2]: value for key, value in self._config.items() if key.startswith(f"{component}.")
        }
        alpha = _pattern(config.get("alpha_pattern"), path, config.get("lora_alpha"))
        if alpha is None:
            return 1.0
        return float(alpha) / (rank**0.5 if config.get("use_rslora") else rank)

    def _check(self, layer: str, parts: Mapping[Part, str], shapes: Mapping[str, tuple[int, ...]]) -> None:
        for part in ("down", "up"):
            if part not in parts:
                raise ArtifactError(f"{self.file}: layer '{layer}' has no {part} factor")
        up, down = shapes[parts["up"]], shapes[parts["down"]]
        if len(up) < 2 or len(down) < 2 or up[1] != down[0]:
            raise ArtifactError(f"{self.file}: layer '{layer}': B {list(up)} and A {list(down)} do not fit together")


def read_layers(file: Path) -> LayerReader:
    """Opens a LoRA file (a safetensors file, or an adapter folder of the store).

    Raises:
        ArtifactError: for a missing or truncated file, other adapter formats (DoRA, LoHa, LoKr, bias), or factors
            that do not fit together; the message names file and tensor.
    """
    return LayerReader(file / "pytorch_lora_weights.safetensors" if file.is_dir() else file)


def _config(file: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        config = json.loads(metadata.get(CONFIG_KEY, "{}"))
    except ValueError:
        raise ArtifactError(f"{file}: header field '{CONFIG_KEY}' is no JSON") from None
    for key, value in config.items():
        if key.rpartition(".")[2] in {"use_dora", "lora_bias"} and value:
            raise ArtifactError(f"{file}: header field '{key}' is on; only plain LoRA (B A) can be read")
    return dict(config)


def _pattern(patterns: Mapping[str, Any] | None, path: str, default: Any) -> Any:
    """PEFT's rule for `alpha_pattern`: the first key that matches the end of the path, else the default."""
    for key, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({key})$", path):
            return value
    return default

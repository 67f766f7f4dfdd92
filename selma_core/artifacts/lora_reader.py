"""Reading a LoRA of any form layer by layer: fp32 factors with the scale folded into B."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from selma_core.artifacts.lora_keys import Part
from selma_core.artifacts.lora_sources import LoraSource, open_sources
from selma_core.errors import ArtifactError
from selma_core.protocols import Factors


@attrs.frozen
class LayerInfo:
    """What a file says of a layer without reading its factors.

    Attributes:
        up, down: shapes of B [out, r] and A [r, in] (convolutions: [out, r, 1, 1], [r, in, kh, kw]).
        dtype: of A in the file (`F16`). alpha: the stored one, None where there is none.
    """

    up: tuple[int, ...]
    down: tuple[int, ...]
    dtype: str
    alpha: float | None

    @property
    def rank(self) -> int:
        """r."""
        return self.down[0]


class LayerReader:
    """A LoRA, opened for reading one layer at a time; `read_layers` makes one.

    Attributes:
        file: the file or folder. files: the safetensors files. metadata: the text fields of their headers.
        form: of its names: `native`, `diffusers`, `kohya`, `comfyui`, `peft-dir`.
    """

    def __init__(self, file: Path) -> None:
        sources = open_sources(file)
        self.file = file
        self.files = [source.tensors.path for source in sources]
        self.metadata: Mapping[str, str] = {k: v for source in sources for k, v in source.tensors.metadata.items()}
        self.form: str = "peft-dir" if sources[0].peft else sources[0].form
        self._sources: dict[str, LoraSource] = {}
        self._parts: dict[str, dict[Part, str]] = {}
        for source in sources:
            for name, found in source.names.items():
                self._take(source, name, found.layer, found.part)
        for layer in self._parts:
            self._check(layer)

    def names(self) -> list[str]:
        """The layers, sorted: `unet.<path>`, `transformer.<path>`, `text_encoder.<path>`."""
        return sorted(self._parts)

    def info(self, name: str) -> LayerInfo:
        """Shapes, type and stored alpha of a layer; reads one number at most."""
        parts, entries = self._parts[name], self._sources[name].tensors.entries
        up, down = entries[parts["up"]], entries[parts["down"]]
        return LayerInfo(up.shape, down.shape, down.dtype, self._alpha(name))

    def scale(self, name: str) -> float:
        """What the stored B A is multiplied by: alpha / r, alpha / sqrt(r), or 1."""
        alpha, rank = self._alpha(name), self._entry_rank(name)
        return self._sources[name].settings.scale(name, rank) if alpha is None else alpha / rank

    def factors(self, name: str) -> Factors:
        """B and A of a layer in fp32, so that the delta is `up @ down`.

        Raises:
            ArtifactError: when a tensor holds NaN or infinity; the message names it.
        """
        parts, tensors = self._parts[name], self._sources[name].tensors
        up, down, scale = tensors.finite(parts["up"]), tensors.finite(parts["down"]), self.scale(name)
        return Factors(up=up if scale == 1.0 else up * scale, down=down)

    def base(self) -> str | None:
        """The base model that a PEFT folder names."""
        found = next(iter(self._sources.values())).settings.fields.get("base_model_name_or_path")
        return str(found) if found and self.form == "peft-dir" else None

    def _take(self, source: LoraSource, name: str, layer: str, part: Part) -> None:
        parts = self._parts.setdefault(layer, {})
        if part in parts:
            raise ArtifactError(f"{self.file}: tensors '{parts[part]}' and '{name}' are both '{layer}'; keep one")
        parts[part] = name
        self._sources[layer] = source

    def _entry_rank(self, name: str) -> int:
        return self._sources[name].tensors.entries[self._parts[name]["down"]].shape[0]

    def _alpha(self, name: str) -> float | None:
        key = self._parts[name].get("alpha")
        if key is None:
            return None
        value = self._sources[name].tensors.finite(key)
        if value.numel() != 1 or float(value) == 0:
            # 0 means "as the rank" to kohya's own tools and "no effect" to others.
            raise ArtifactError(f"{self.file}: tensor '{key}' must be one number other than 0")
        return float(value)

    def _check(self, layer: str) -> None:
        parts, entries = self._parts[layer], self._sources[layer].tensors.entries
        for part in ("down", "up"):
            if part not in parts:
                raise ArtifactError(f"{self.file}: layer '{layer}' has no {part} factor")
        up, down = entries[parts["up"]].shape, entries[parts["down"]].shape
        fits = len(up) > 1 and len(down) > 1 and up[1] == down[0] > 0 and all(side == 1 for side in up[2:])
        if not fits:
            raise ArtifactError(f"{self.file}: layer '{layer}': B {list(up)} and A {list(down)} do not fit together")


def read_layers(file: Path) -> LayerReader:
    """Opens a LoRA: a safetensors file, an adapter folder of the store, a PEFT folder, or a folder of PEFT folders.

    Raises:
        ArtifactError: for a missing or truncated file, other adapter formats (DoRA, LoHa, LoKr, bias), or factors
            that do not fit together; the message names file and tensor.
    """
    return LayerReader(file)

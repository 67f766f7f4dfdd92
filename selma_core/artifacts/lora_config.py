"""The settings that come with LoRA tensors: in the header of a file, or in the `adapter_config.json` of a PEFT folder.

They say by how much B A is scaled, and name the variants whose delta is not B A, which are refused.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selma_core.artifacts.lora_keys import COMPONENTS
from selma_core.errors import ArtifactError

HEADER_KEY = "lora_adapter_metadata"
WEIGHTS = "pytorch_lora_weights.safetensors"
CONFIG_FILE = "adapter_config.json"

# Fields of PEFT's LoraConfig that change what the tensors mean, with the name of what they switch on.
_VARIANTS = {
    "use_dora": "DoRA",
    "lora_bias": "a LoRA with bias",
    "kasa_config": "KaSA",
    "use_qalora": "QALoRA",
    "use_bdlora": "BD-LoRA",
    "monteclora_config": "MonteCLoRA",
    "arrow_config": "Arrow",
    "alora_invocation_tokens": "activated LoRA",
    "layer_replication": "replicated layers",
    "target_parameters": "a LoRA of parameters",
    "fan_in_fan_out": "transposed weights",
}
# These start from other base weights than the model's: the delta alone is not what was trained.
_OTHER_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")


class LoraSettings:
    """What a LoraConfig says of each component.

    Args:
        fields: of one LoraConfig; with a component before each name (`unet.r`) or, for all of them, without.
        file: for messages.

    Raises:
        ArtifactError: a variant of LoRA that is not plain B A; the message names the field.
    """

    def __init__(self, fields: Mapping[str, Any], file: Path) -> None:
        self.fields = dict(fields)
        self._file = file
        self._alphas: dict[str, list[tuple[re.Pattern[str], Any]]] = {}
        for key, value in self.fields.items():
            _refuse(key.rpartition(".")[2], value, f"{file}: the setting '{key}'")

    def of(self, component: str) -> dict[str, Any]:
        """The fields that count for a component."""
        if not any(key.partition(".")[0] in COMPONENTS for key in self.fields):
            return self.fields
        start = f"{component}."
        return {key.removeprefix(start): value for key, value in self.fields.items() if key.startswith(start)}

    def scale(self, layer: str, rank: int) -> float:
        """alpha / rank of a layer, or alpha / sqrt(rank) under rsLoRA; 1 where no alpha is set."""
        component, path = layer.split(".", 1)
        fields = self.of(component)
        patterns = self._patterns(component, fields)
        # PEFT's rule: the first pattern that matches the end of the path counts.
        alpha = next((value for pattern, value in patterns if pattern.match(path)), fields.get("lora_alpha"))
        if alpha is None:
            return 1.0
        return float(alpha) / (rank**0.5 if fields.get("use_rslora") else rank)

    def _patterns(self, component: str, fields: Mapping[str, Any]) -> list[tuple[re.Pattern[str], Any]]:
        """`alpha_pattern`, compiled once: a mixed-rank SDXL adapter has 560 of them, more than `re` remembers."""
        if component not in self._alphas:
            given = fields.get("alpha_pattern") or {}
            try:
                found = [(re.compile(rf"(.*\.)?({key})$"), value) for key, value in given.items()]
            except (re.error, AttributeError):
                raise ArtifactError(f"{self._file}: the setting 'alpha_pattern' is not what PEFT writes") from None
            self._alphas[component] = found
        return self._alphas[component]


def header_settings(metadata: Mapping[str, str], file: Path) -> LoraSettings:
    """The settings in a file's header, as diffusers writes them.

    Raises:
        ArtifactError: no JSON object, or as `LoraSettings`.
    """
    return LoraSettings(_object(metadata.get(HEADER_KEY, "{}"), f"{file}: header field '{HEADER_KEY}'"), file)


def folder_settings(file: Path) -> LoraSettings:
    """The settings of a PEFT folder.

    Raises:
        ArtifactError: not readable, not of a LoRA, or as `LoraSettings`.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{file}: cannot be read ({error})") from None
    fields = _object(text, str(file))
    if fields.get("peft_type") != "LORA":
        raise ArtifactError(f"{file}: peft_type is {fields.get('peft_type')!r}; only LORA (B A) can be read")
    return LoraSettings(fields, file)


def common_rank(ranks: Mapping[str, int]) -> int:
    """The rank that most layers have, the smaller one of two as frequent: equal adapters give equal bytes."""
    return min(Counter(ranks.values()).items(), key=lambda item: (-item[1], item[0]))[0]


def minimal_fields(ranks: Mapping[str, int]) -> dict[str, Any]:
    """The smallest LoraConfig that every version of PEFT reads, for layers whose alpha equals their rank.

    Args:
        ranks: module path -> r; a path may be cut at its front, since PEFT matches ends.
    """
    rank = common_rank(ranks)
    # PEFT takes the first key that matches the END of a module path: longer paths must come first.
    longest_first = dict(sorted(ranks.items(), key=lambda item: (-len(item[0]), item[0])))
    pattern = {} if len(set(ranks.values())) == 1 else longest_first
    return {
        "r": rank,
        "lora_alpha": rank,
        "target_modules": sorted(ranks),
        "rank_pattern": pattern,
        "alpha_pattern": pattern,
        "use_dora": False,
        "use_rslora": False,
        "lora_bias": False,
    }


def _refuse(name: str, value: Any, where: str) -> None:
    if name in _VARIANTS and value:
        raise ArtifactError(f"{where} switches on {_VARIANTS[name]}; only plain LoRA (B A) can be read")
    if name == "bias" and value not in (None, "none"):
        raise ArtifactError(f"{where} is '{value}': a LoRA with bias; only plain LoRA (B A) can be read")
    if name == "init_lora_weights" and str(value).lower().startswith(_OTHER_BASE):
        raise ArtifactError(
            f"{where} is '{value}', which changes the base weights too; save it with PEFT's "
            "path_initial_model_for_weight_conversion first"
        )


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        raise ArtifactError(f"{where} is no JSON") from None
    if not isinstance(found, dict):
        raise ArtifactError(f"{where} is no JSON object")
    return found

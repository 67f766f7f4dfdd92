"""PEFT's LoRA layers on a denoiser: put in, initialised layer by layer, read out in canonical form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from selma_core.artifacts.adapter import read_layers
from selma_core.errors import ArtifactError, UserError, did_you_mean
from selma_core.seeds import derive_seed
from selma_plugins.training.options import LoraOptions

ADAPTER = "selma"
_PARTS = ("lora_A", "lora_B", "lora_magnitude_vector")


@torch.no_grad()
def insert(denoiser: nn.Module, options: LoraOptions, seed: int, *, dora: bool = False) -> dict[str, nn.Parameter]:
    """Puts LoRA layers in; returns the trainable weights by canonical name without component, in module order.

    A is drawn per layer from its own stream (so it does not depend on the order of layers), B is zero. With `dora` a
    layer has `<path>.lora_magnitude_vector.weight` too, which starts at the norms of the rows of its base weight.

    Raises:
        UserError: when a target ends no module's path.
    """
    check_targets(denoiser, options.targets)
    alpha = options.rank if options.alpha is None else options.alpha
    config = LoraConfig(
        r=options.rank,
        lora_alpha=alpha,
        target_modules=list(options.targets),
        init_lora_weights=True,
        use_dora=dora,
    )
    # PEFT draws A from the global stream, which is then overwritten: leave the caller's stream as it was.
    with torch.random.fork_rng(devices=[]):
        inject_adapter_in_model(config, denoiser, adapter_name=ADAPTER)
    weights: dict[str, nn.Parameter] = {}
    for name, weight in denoiser.named_parameters():
        trained = any(f".{part}.{ADAPTER}." in name for part in _PARTS)
        weight.requires_grad_(trained)
        if trained:
            weight.data = weight.data.float()
            weights[name.replace(f".{ADAPTER}.", ".")] = weight
    for name, weight in weights.items():
        _initialise(name, weight, options, seed)
    return weights


def scale_of(options: LoraOptions) -> float:
    """alpha / rank: what B is multiplied by on the way out."""
    return 1.0 if options.alpha is None else options.alpha / options.rank


@torch.no_grad()
def start_from(weights: Mapping[str, nn.Parameter], adapter: Path, component: str, scale: float) -> None:
    """Sets the weights to an adapter's, padded with fresh A and zero B up to the rank.

    Raises:
        ArtifactError: when the adapter has other layers or a higher rank.
    """
    reader = read_layers(adapter)
    for layer in reader.names():
        path = layer.removeprefix(f"{component}.")
        down, up = weights.get(f"{path}.lora_A.weight"), weights.get(f"{path}.lora_B.weight")
        if down is None or up is None or path == layer:
            raise ArtifactError(
                f"{adapter}: layer '{layer}' is not trained here; set 'targets' to the adapter's layers"
            )
        factors = reader.factors(layer)
        rank = factors.down.shape[0]
        if rank > down.shape[0]:
            raise ArtifactError(f"{adapter}: layer '{layer}' has rank {rank}; set 'rank' to at least that")
        down[:rank] = factors.down
        up[:, :rank] = factors.up / scale


def canonical(weights: Mapping[str, torch.Tensor], component: str, scale: float) -> dict[str, torch.Tensor]:
    """The tensors of `TrainedAdapter`: prefixed, alpha folded into B, fp32, on the CPU."""
    folded = {name: value * scale if ".lora_B." in name and scale != 1.0 else value for name, value in weights.items()}
    return {f"{component}.{name}": value.detach().float().cpu().clone() for name, value in folded.items()}


def _initialise(name: str, weight: nn.Parameter, options: LoraOptions, seed: int) -> None:
    if ".lora_magnitude_vector." in name:
        return
    if ".lora_B." in name:
        weight.zero_()
        return
    stream = torch.Generator("cpu").manual_seed(derive_seed("lora-init", seed, name))
    if options.init == "gaussian":
        drawn = torch.randn(weight.shape, generator=stream) / options.rank
    else:  # kaiming uniform with a = sqrt(5): within 1 / sqrt(fan in)
        drawn = (torch.rand(weight.shape, generator=stream) * 2 - 1) / weight[0].numel() ** 0.5
    weight.copy_(drawn)


def check_targets(denoiser: nn.Module, targets: Sequence[str]) -> None:
    """Raises UserError when a target ends no module's path."""
    kinds = nn.Linear | nn.Conv2d
    paths = [name for name, module in denoiser.named_modules() if isinstance(module, kinds)]
    for target in targets:
        if not any(path == target or path.endswith(f".{target}") for path in paths):
            ends = {_end(path) for path in paths}
            raise UserError(
                f"targets: '{target}' ends no layer of the {type(denoiser).__name__}: " + did_you_mean(target, ends)
            )


def _end(path: str) -> str:
    """`to_q` of `...attn1.to_q`, `to_out.0` of `...to_out.0`."""
    parts = path.split(".")
    return ".".join(parts[-2:]) if parts[-1].isdigit() else parts[-1]

"""PEFT itself, on attention layers of Stable Diffusion 1.5, as the oracle of the `peft_*` modes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from peft import LoraConfig, LoraModel

from selma_core.merging.layer import merge_layer
from selma_core.protocols import Factors, LayerJob, MergeStrategy

# (out, in) of the attention layers of SD 1.5; the small ones are those that a full SVD takes no time on.
SMALL = ((320, 320), (320, 768))
LARGE = ((640, 640), (640, 768), (1280, 768), (1280, 1280))


class Oracle:
    """Linear layers of the given shapes with random experts on them.

    Attributes:
        model: the LoraModel. names: of the experts. layers: name -> its LoRA layer.
    """

    def __init__(self, shapes: Sequence[tuple[int, int]], configs: Sequence[Mapping[str, Any]], seed: int = 0) -> None:
        stream = torch.Generator().manual_seed(seed)
        base = torch.nn.ModuleDict({name_of(s): torch.nn.Linear(s[1], s[0], bias=False) for s in shapes})
        self.names = [f"expert{i}" for i in range(len(configs))]
        everything = {"target_modules": list(base), "init_lora_weights": False}
        settings = [LoraConfig(**{**everything, **config}) for config in configs]
        self.model = LoraModel(base, settings[0], self.names[0])
        for name, config in list(zip(self.names, settings, strict=True))[1:]:
            self.model.peft_config[name] = config
            self.model.inject_adapter(self.model.model, name)
        self.layers: dict[str, Any] = dict(base.items())
        for layer in self.layers.values():
            for part in (*layer.lora_A.values(), *layer.lora_B.values()):
                part.weight.data = torch.randn(part.weight.shape, generator=stream)
            # Falling singular values, as trained experts have: a cut between two equal ones is rounding's choice.
            for part in layer.lora_B.values():
                part.weight.data *= torch.logspace(0, -2, part.weight.shape[1])

    def factors(self, layer: str, name: str) -> Factors | None:
        """What a reader gives: A, and B with the scale in it."""
        found = self.layers[layer]
        if name not in found.lora_A:
            return None
        scale = found.scaling[name]
        return Factors(up=found.lora_B[name].weight.data * scale, down=found.lora_A[name].weight.data)

    def jobs(self, weights: Sequence[float]) -> Iterator[LayerJob]:
        """The layers, as a strategy gets them."""
        for layer in self.layers:
            experts = tuple(self.factors(layer, name) for name in self.names)
            yield LayerJob(name=layer, experts=experts, weights=tuple(weights), expert_ids=tuple(self.names), seed=3)

    def merged(self, kind: str, weights: Sequence[float], **options: Any) -> dict[str, torch.Tensor]:
        """The deltas of PEFT's merge, layer by layer."""
        self.model.add_weighted_adapter(self.names, list(weights), "merged", combination_type=kind, **options)
        found = {layer: dense(self.factors(layer, "merged")) for layer in self.layers}
        self.model.delete_adapter("merged")
        return found

    def ours(self, strategy: MergeStrategy, weights: Sequence[float]) -> dict[str, torch.Tensor]:
        """The deltas of a strategy's merge."""
        found = {job.name: merge_layer(strategy, job) for job in self.jobs(weights)}
        return {layer: dense(merged.factors if merged else None) for layer, merged in found.items()}


def name_of(shape: tuple[int, int]) -> str:
    """A module name without a dot."""
    return f"layer_{shape[0]}x{shape[1]}"


def dense(factors: Factors | None) -> torch.Tensor:
    """B A."""
    assert factors is not None
    return factors.up @ factors.down


def difference(ours: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor]) -> float:
    """The largest |D - D'| / |D'| of all layers."""
    assert ours.keys() == theirs.keys()
    return max(float((ours[layer] - theirs[layer]).norm() / theirs[layer].norm()) for layer in theirs)

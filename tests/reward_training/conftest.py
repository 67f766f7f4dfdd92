"""`reward_lora` on tiny pipelines, with rewards that say what they are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

from selma_core.data import ImageItem, MetricInfo, Prompt
from selma_core.options import Slot
from selma_core.protocols import TrainedAdapter, TrainJob
from tests import tiny_models
from tests.tiny_stage import TinyContext

MODELS: dict[str, Callable[[Path], Path]] = {
    "epsilon": tiny_models.sd,
    "v_prediction": lambda path: tiny_models.sd(path, "v_prediction"),
    "sdxl": tiny_models.sdxl,
    "sd3": tiny_models.sd3,
}
TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "conv1"]
PROMPTS = tuple(Prompt(id=f"p{i}", text=text, skill="count") for i, text in enumerate(("a red cat", "two", "the hat")))


class Redness:
    """Mean of the first channel; a prompt with `two` in it wants less."""

    info = MetricInfo(name="redness", range=(-1.0, 1.0), rules=("official",))

    def __call__(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        signs = torch.tensor([-1.0 if "two" in text else 1.0 for text in prompts])
        return signs * images[:, 0].flatten(1).mean(1)


class Contrast:
    """Two parts, one weighs half."""

    info = MetricInfo(name="contrast", range=(-1.0, 1.0), rules=("official",))

    def parts(self, images: torch.Tensor, prompts: Sequence[str]) -> dict[str, torch.Tensor]:
        spread, mean = images.flatten(1).var(1), images.flatten(1).mean(1)
        return {"score": spread + 0.5 * mean, "spread": spread, "mean": mean}

    def __call__(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        return self.parts(images, prompts)["score"]


class Blind:
    """A reward without gradient."""

    info = MetricInfo(name="blind", range=(-1.0, 1.0), rules=("official",))

    def __call__(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        return torch.zeros(len(images))


REWARDS = {"redness": Redness, "contrast": Contrast, "blind": Blind}


@attrs.define
class RewardContext(TinyContext):
    """A context that has these rewards."""

    def reward(self, slot: Slot) -> Any:
        """A new one."""
        return REWARDS[slot.use]()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a tiny pipeline, built once."""
    root = tmp_path_factory.mktemp("models")
    return lambda name: root / name if (root / name).exists() else MODELS[name](root / name)


def options_of(model: Path, **given: Any) -> Any:
    """Small settings: 10 steps of which 2 have a gradient."""
    from selma_plugins.reward_training.options import RewardLoraOptions

    small: dict[str, Any] = {
        "rank": 2, "steps": 2, "batch_size": 2, "accumulation": 1, "lr": 1e-2, "warmup": 0, "log_every": 1,
        "save_every": 2, "targets": TARGETS, "draw_steps": 10, "k": 2, "guidance": 3.0,
        "rewards": {"redness": Slot("redness")},
    }  # fmt: skip
    return RewardLoraOptions(**{"model": str(model), **small, **given})


@pytest.fixture
def train(models: Callable[[str], Path], tmp_path: Path) -> Callable[..., TrainedAdapter]:
    """Trains a tiny adapter; every call has its own work folder unless it is given a context."""
    from selma_plugins.reward_training.trainer import RewardLoraTrainer

    def run(
        model: str = "epsilon",
        prompts: Sequence[Prompt] = PROMPTS,
        images: Sequence[ImageItem] = (),
        context: RewardContext | None = None,
        adapter: Path | None = None,
        **given: Any,
    ) -> TrainedAdapter:
        workdir = tmp_path / f"work{len(list(tmp_path.iterdir()))}"
        context = context or RewardContext(workdir)
        context.workdir.mkdir(exist_ok=True)
        job = TrainJob(context=context, images=tuple(images), adapter=adapter, prompts=tuple(prompts))
        return RewardLoraTrainer(options_of(models(model), **given)).train(job)

    return run

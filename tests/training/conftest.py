"""A trainer over tiny pipelines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from selma_core.data import ImageItem
from selma_core.protocols import TrainedAdapter, TrainJob
from tests import tiny_models
from tests.tiny_stage import TinyContext, items

MODELS: dict[str, Callable[[Path], Path]] = {
    "epsilon": tiny_models.sd,
    "v_prediction": lambda path: tiny_models.sd(path, "v_prediction"),
    "sdxl": tiny_models.sdxl,
    "sd3": tiny_models.sd3,
    "flux": tiny_models.flux,
    "pixart": tiny_models.pixart,
}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a tiny pipeline, built once."""
    root = tmp_path_factory.mktemp("models")
    return lambda name: root / name if (root / name).exists() else MODELS[name](root / name)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageItem, ...]:
    return items(tmp_path_factory.mktemp("pictures"), 6)


@pytest.fixture
def train(
    models: Callable[[str], Path], pictures: tuple[ImageItem, ...], tmp_path: Path
) -> Callable[..., TrainedAdapter]:
    """Trains a tiny adapter; every call has its own work folder unless it is given one."""
    from selma_plugins.training.options import DoraOptions, FullOptions, LoraOptions
    from selma_plugins.training.trainer import DoraTrainer, FullTrainer, LoraTrainer

    methods = {
        "lora": (LoraTrainer, LoraOptions),
        "dora": (DoraTrainer, DoraOptions),
        "full": (FullTrainer, FullOptions),
    }

    def run(
        model: str = "epsilon",
        images: Sequence[ImageItem] = pictures,
        context: TinyContext | None = None,
        adapter: Path | None = None,
        method: str = "lora",
        **options: Any,
    ) -> TrainedAdapter:
        small = {"steps": 4, "batch_size": 4, "accumulation": 1, "lr": 1e-2, "log_every": 2, "heldout": 0.0}
        small |= {} if method == "full" else {"rank": 2}
        trainer, kind = methods[method]
        given = kind(**{"model": str(models(model)), **small, **options})
        workdir = tmp_path / f"work{len(list(tmp_path.iterdir()))}"
        job = TrainJob(context=context or TinyContext(workdir), images=tuple(images), adapter=adapter)
        job.context.workdir.mkdir(exist_ok=True)
        return trainer(given).train(job)

    return run

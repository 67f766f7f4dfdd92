"""Options of the trackers. They are part of `runtime`, so of no fingerprint."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlsplit

import attrs

from selma_core.options import option


def _no_login(instance: Any, field: attrs.Attribute[Any], value: str) -> None:
    if "@" in urlsplit(value).netloc:
        raise ValueError("must hold no user or password: MLflow reads MLFLOW_TRACKING_USERNAME and ..._PASSWORD")


@attrs.frozen
class MlflowOptions:
    """Options of `mlflow`."""

    experiment: str = option("", help="name of the experiment; empty = the recipe's or ablation's")
    folder: str = option("", help="of the local file store; empty = trackers/mlflow in SELMA's store")
    uri: str = option("", help="a server instead of a folder, such as http://localhost:5000", check=_no_login)


@attrs.frozen
class WandbOptions:
    """Options of `wandb`."""

    project: str = option("selma", help="name of the project")
    entity: str = option("", help="user or team of the project; empty = your default one")
    folder: str = option("", help="gets a folder `wandb` with the runs; empty = trackers in SELMA's store")
    mode: Literal["offline", "online"] = option("offline", help="offline: nothing is sent, see `wandb sync`")

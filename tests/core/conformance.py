"""What the tests of the conformance kit share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from selma_core.data import (
    ImageItem,
    Prompt,
)
from selma_core.testing import (
    ConformanceError,
)


def fails(message: str) -> Any:
    return pytest.raises(ConformanceError, match=message)


def items(tmp_path: Path) -> list[ImageItem]:
    return [
        ImageItem(item_id=f"p{n}-{k}", prompt=Prompt(id=f"p{n}", text="x"), path=tmp_path, sha256="0" * 64, k=k, seed=n)
        for n in range(2)
        for k in range(2)
    ]

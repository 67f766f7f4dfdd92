"""Agreement with mergekit, where its formula is that of a bundled strategy.

`mergekit.json` holds its results for small deltas on a base of zeros: version 0.1.5, `merge_tensors`, run once.
It is no mode of its own: `linear`, `ties` (default variant), `breadcrumbs` and `model_stock` are the same formulas.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from selma_core.catalog import Catalog
from selma_core.merging.layer import merge_layer
from selma_core.protocols import Factors, LayerJob

GOLDEN: dict[str, Any] = json.loads(Path(__file__).with_name("mergekit.json").read_text())
SAME_FORMULA = {"task_arithmetic": "linear"}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.discover()


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"{case['method']}-{case.get('density', 1)}")
def test_the_numbers_of_mergekit(case: dict[str, Any], catalog: Catalog) -> None:
    offer = catalog.find("merge_strategy", SAME_FORMULA.get(case["method"], case["method"]))
    assert offer.record.options is not None
    options = offer.record.options(**{key: case[key] for key in ("density", "gamma") if key in case})
    experts = tuple(Factors(up=torch.tensor(e["up"]), down=torch.tensor(e["down"])) for e in case["experts"])
    job = LayerJob(
        name="l",
        experts=experts,
        weights=tuple(case["weights"]),
        expert_ids=tuple(map(str, range(len(experts)))),
        seed=0,
    )
    found = merge_layer(catalog.load(offer)(options), job)
    assert found is not None
    wanted = torch.tensor(case["delta"])
    assert float((found.factors.up @ found.factors.down - wanted).norm()) < 1e-5 * float(wanted.norm())

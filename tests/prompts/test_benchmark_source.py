"""A benchmark's prompts as a prompt source."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from selma_plugins.prompts.benchmark import BenchmarkPrompts
from selma_plugins.prompts.options import BenchmarkPromptsOptions

from selma_core.errors import UserError
from selma_core.protocols import PromptJob, PromptSource

HEAD = "item_id,text,proposition_id,dependency,category_broad,category_detailed,tuple,question_natural_language"


@pytest.fixture
def bench(context: Any, tmp_path: Path) -> Any:
    rows = [HEAD]
    for number in range(60):
        group = "abc"[number % 3]
        rows += [f"x_{group}_{number},text {number},{q},0,entity,whole,t,Is there?" for q in (1, 2)]
    (tmp_path / "bench.csv").write_text("\n".join(rows) + "\n")
    context.add("benchmarks", "bench", {"groups": {"_a_": "A", "_b_": "B", "_c_": "C"}}, tmp_path / "bench.csv")
    return context


def read(context: Any, **options: Any) -> Any:
    source = BenchmarkPrompts(BenchmarkPromptsOptions(benchmark="bench", **options))
    assert isinstance(source, PromptSource)
    (batch,) = source.prompts(PromptJob(context=context))
    assert list(source.prompts(PromptJob(context=context, done=(batch,)))) == []
    return batch.accepted


def test_all_prompts_once_in_order_with_their_group(bench: Any) -> None:
    found = read(bench)
    assert [p.id for p in found][:4] == ["x_a_0", "x_b_1", "x_c_2", "x_a_3"]
    assert [p.text for p in found] == [f"text {i}" for i in range(60)]
    assert {p.meta["group"] for p in found} == {"A", "B", "C"}


def test_a_subset_is_stratified_nested_and_depends_on_no_seed(bench: Any) -> None:
    few, more = read(bench, per_group=4), read(bench, per_group=9)
    assert Counter(p.meta["group"] for p in few) == {"A": 4, "B": 4, "C": 4}
    assert set(p.id for p in few) < set(p.id for p in more)
    bench.seed = 99
    assert read(bench, per_group=4) == few
    order = [int(p.id.rpartition("_")[2]) for p in more]
    assert order == sorted(order)
    assert order[:9] != list(range(9))


def test_the_subset_is_a_fixed_one(bench: Any) -> None:
    """Chosen by sha256 of the id: the same on every machine, in every version."""
    assert [p.id for p in read(bench, per_group=2)] == ["x_c_14", "x_b_16", "x_c_29", "x_b_34", "x_a_36", "x_a_57"]


def test_limit_is_nested_in_per_group(bench: Any) -> None:
    assert set(p.id for p in read(bench, per_group=4, limit=5)) < set(p.id for p in read(bench, per_group=4))
    assert len(read(bench, limit=7)) == 7
    assert len(read(bench, per_group=100)) == 60


def test_only_the_named_groups(bench: Any) -> None:
    assert Counter(p.meta["group"] for p in read(bench, groups=["A", "C"])) == {"A": 20, "C": 20}
    some = [p for p in read(bench, per_group=3) if p.meta["group"] == "B"]
    assert list(read(bench, groups=["B"], per_group=3)) == some


def test_a_group_that_is_not_there_is_named_with_the_nearest(bench: Any) -> None:
    with pytest.raises(UserError, match=r"benchmark 'bench' has no group 'a'.*A"):
        read(bench, groups=["a"])

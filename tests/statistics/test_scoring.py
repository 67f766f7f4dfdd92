"""Summaries -> the numbers of a run's JSON."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from selma_plugins.evaluation.dsg import Dsg
from selma_plugins.evaluation.options import DsgOptions

from selma_core.artifacts.scores import ScoreTable
from selma_core.comparisons import comparisons, members, single_runs
from selma_core.data import Atom, ItemAtoms, MetricInfo, PromptScore, Summary
from selma_core.errors import UnknownNameError
from selma_core.options import Slot
from selma_core.scoring import mean_summary, score_entry, summarise
from selma_core.statistics import holm

KEYS = {"variant", "baseline", "metric", "difference", "low", "high", "p"}


def summary(values: dict[str, float | None], **changes: Any) -> Summary:
    prompts = tuple(PromptScore(prompt_id=key, value=value, per_image=(value or 0,)) for key, value in values.items())
    seen = [value for value in values.values() if value is not None]
    fields = {"categories": {"entity": 50.0}, "n_prompts": len(seen), "n_images": len(seen), **changes}
    mean = 100 * sum(seen) / len(seen) if seen else None
    return Summary(metric="dsg", rule="official", judge="j", mean=mean, prompts=prompts, **fields)


def spread(shift: float, n: int = 40) -> Summary:
    return summary({f"p{i}": min(1.0, (i % 5) / 5 + shift) for i in range(n)})


def test_score_entry_has_the_documented_keys_in_per_cent() -> None:
    entry = score_entry(spread(0.1), seed=0)
    assert entry.keys() >= {"mean", "low", "high", "n_prompts", "n_images"}
    assert 0 < entry["low"] < entry["mean"] < entry["high"] < 100
    assert entry["mean"] == pytest.approx(50.0)
    assert json.loads(json.dumps(entry)) == entry


def test_score_entry_without_data_is_null() -> None:
    entry = score_entry(summary({"a": None}), seed=0)
    assert (entry["mean"], entry["low"], entry["high"], entry["n_prompts"]) == (None, None, None, 0)


def test_unbounded_metrics_keep_their_scale() -> None:
    pick = attrs.evolve(summary({"a": 20.5, "b": 21.5}), mean=21.0, scale=1.0)
    entry = score_entry(pick, seed=0)
    assert (entry["mean"], entry["low"], entry["high"]) == (21.0, 20.5, 21.5)


def test_interval_of_a_micro_mean_is_around_it() -> None:
    """100 prompts of 1 question (all yes), 100 of 9 (all no): macro 50, micro 10."""
    prompts = tuple(
        PromptScore(prompt_id=f"{n}-{i}", value=value, weight=n)
        for n, value in ((1, 1.0), (9, 0.0))
        for i in range(100)
    )
    micro = Summary(metric="dsg", rule="selma", judge="j", mean=10.0, prompts=prompts)
    entry = score_entry(micro, seed=0)
    assert 5 < entry["low"] < 10 < entry["high"] < 15


def test_mean_summary_is_paired_by_prompt() -> None:
    a, b = summary({"x": 1.0, "y": 0.0, "only": 1.0}), summary({"x": 0.5, "y": 0.5, "other": 0.0})
    found = mean_summary([a, b])
    assert {p.prompt_id: p.value for p in found.prompts} == {"x": 0.75, "y": 0.25}
    assert (found.mean, found.n_prompts, found.n_images) == (50.0, 2, 6)
    assert found.categories == {"entity": 50.0}


def test_mean_summary_refuses_to_mix_rules() -> None:
    with pytest.raises(ValueError, match="one metric, rule and judge"):
        mean_summary([spread(0), attrs.evolve(spread(0), rule="selma")])


def test_fewer_is_better_where_the_metric_says_so() -> None:
    """Differences stay variant minus baseline; what counts as a win turns round."""
    plain = {"base": {"dsg": spread(0)}, "x": {"dsg": spread(0.2)}}
    fids = {name: {"dsg": attrs.evolve(by["dsg"], higher_is_better=False)} for name, by in plain.items()}
    [row], [turned] = comparisons(single_runs(plain), [("x", "base")]), comparisons(single_runs(fids), [("x", "base")])
    assert (turned["wins"], turned["losses"]) == (row["losses"], row["wins"]) == (0, row["wins"])
    assert turned["difference"] == row["difference"] > 0


def test_comparisons_have_the_documented_keys_and_holm() -> None:
    summaries = {"base": {"dsg": spread(0)}, "merged": {"dsg": spread(0.2)}, "joint": {"dsg": spread(0.0)}}
    found = comparisons(single_runs(summaries), [["merged", "base"], ["merged", "joint"], ["joint", "base"]], "base")
    assert [(row["variant"], row["baseline"]) for row in found] == [
        ("merged", "base"),
        ("merged", "joint"),
        ("joint", "base"),
    ]
    assert all(row.keys() >= KEYS | {"p_holm", "wins", "ties", "losses", "n", "se", "mde"} for row in found)
    assert found[0]["difference"] == pytest.approx(20.0)
    assert found[0]["low"] > 0
    assert [row["p_holm"] for row in found] == holm([row["p"] for row in found])
    assert found[0]["p_holm"] >= found[0]["p"]
    assert found[2]["difference"] == 0.0
    assert json.loads(json.dumps(found)) == found


def test_without_pairs_everything_meets_the_baseline() -> None:
    summaries = {name: {"dsg": spread(0)} for name in ("base", "a", "b")}
    assert [(r["variant"], r["baseline"]) for r in comparisons(single_runs(summaries), [], "base")] == [
        ("a", "base"),
        ("b", "base"),
    ]


def test_experts_are_compared_as_their_mean() -> None:
    summaries = {
        "merged": {"dsg": spread(0.2)},
        "expert_count": {"dsg": spread(0.2)},
        "expert_text": {"dsg": spread(0.0)},
    }
    for name in ("experts", "expert_*"):
        (row,) = comparisons(single_runs(summaries), [["merged", name]], "merged")
        assert row["baseline"] == name
        assert row["difference"] == pytest.approx(10.0)


def test_failed_variants_are_left_out() -> None:
    assert comparisons(single_runs({"base": {"dsg": spread(0)}}), [["merged", "base"]], "base") == []


def test_members() -> None:
    variants = ["base", "expert_a", "expert_b", "merged"]
    assert members("merged", variants) == ("merged",)
    assert members("experts", variants) == ("expert_a", "expert_b")
    with pytest.raises(UnknownNameError, match="no variant 'merge' to compare: did you mean 'merged'"):
        members("merge", variants)


def test_summarise_applies_any_rule_to_stored_answers() -> None:
    questions = [
        {"id": str(i), "question": "?", "dependency": str(i - 1), "category_broad": "e", "category_detailed": "-"}
        for i in (1, 2, 3)
    ]
    atoms = tuple(Atom(key=str(i), value=float(i > 1)) for i in (1, 2, 3))
    table = ScoreTable(
        info=MetricInfo(name="dsg", judge="who really answered"),
        specs={"p": {"questions": questions}},
        rows=(ItemAtoms(item_id="p-0", prompt_id="p", k=0, atoms=atoms),),
    )
    evaluator = Dsg(DsgOptions(benchmark="b", judge=Slot("j"), rule="transitive"))
    assert summarise(evaluator, table).rule == "transitive"
    assert summarise(evaluator, table).mean == 0.0
    assert summarise(evaluator, table, "official").mean == pytest.approx(100 / 3)
    assert summarise(evaluator, table).judge == "who really answered"

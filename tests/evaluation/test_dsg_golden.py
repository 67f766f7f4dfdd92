"""DSG-1k with released answers: every rule gives the published, or independently recomputed, numbers."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from pathlib import Path
from statistics import stdev
from typing import Any

import pytest
from selma_plugins.benchmarks.dsg_csv import BenchmarkPrompt
from selma_plugins.evaluation.answers import verdict
from selma_plugins.evaluation.dsg import Dsg
from selma_plugins.evaluation.dsg_scores import question_scores, questions_of, summarise_rows
from selma_plugins.evaluation.options import DsgOptions
from selma_plugins.evaluation.rules import rule_of

from selma_core.artifacts.scores import ScoreTable, read_scores, write_scores
from selma_core.data import Atom, Entry, ItemAtoms, MetricInfo, Summary
from selma_core.options import Slot
from selma_core.scoring import summarise
from selma_core.statistics import paired

Observations = dict[str, tuple[ItemAtoms, ...]]
UNANSWERED = "tifa160_134"
PER_QUESTION = ("official", "nodep", "selma", "tolerant", "transitive")
MACRO = {rule: rule for rule in PER_QUESTION} | {"strict": "all_yes"}


def summary(rows: tuple[ItemAtoms, ...], specs: dict[str, Any], rule: str) -> Summary:
    return summarise_rows(rows, specs, rule, metric="dsg", judge="pali17b")


def with_zero(rows: tuple[ItemAtoms, ...], specs: dict[str, Any]) -> tuple[ItemAtoms, ...]:
    """The prompt without released answers, answered with empty strings: what the official script makes of it."""
    atoms = tuple(Atom(key=q["id"], value=0.0, raw="") for q in specs[UNANSWERED]["questions"])
    return (*rows, ItemAtoms(item_id=f"{UNANSWERED}-0", prompt_id=UNANSWERED, k=0, atoms=atoms))


def macro(result: Summary, group: str | None = None) -> float:
    values = [p.per_image[0] for p in result.prompts if p.per_image and (group is None or group in p.groups)]
    return 100 * sum(values) / len(values)


@pytest.mark.parametrize("rule", PER_QUESTION)
def test_hits_over_answered_questions(
    rule: str, observations: Observations, specs: dict[str, Any], golden: dict[str, Any]
) -> None:
    expected = golden["overall"][rule]
    scores = [score for _, score in question_scores(observations["sd2dot1"], specs, rule)]
    assert (sum(scores), len(scores)) == (expected["hits"], expected["answered"])
    hits = sum(scores)
    micro = [100 * hits / n for n in (8174, 8175, 8182)]
    assert micro == pytest.approx(expected["micro"], abs=5e-5)


@pytest.mark.parametrize("rule", MACRO)
def test_mean_over_all_1060_prompts(
    rule: str, observations: Observations, specs: dict[str, Any], golden: dict[str, Any]
) -> None:
    result = summary(with_zero(observations["sd2dot1"], specs), specs, rule)
    assert result.n_prompts == 1060
    assert macro(result) == pytest.approx(golden["overall"][MACRO[rule]]["macro"], abs=5e-5)


@pytest.mark.parametrize("rule", MACRO)
def test_headline_is_macro_except_for_selma(
    rule: str, observations: Observations, specs: dict[str, Any], golden: dict[str, Any]
) -> None:
    result = summary(with_zero(observations["sd2dot1"], specs), specs, rule)
    expected = golden["overall"]["selma"]["micro"][2] if rule == "selma" else golden["overall"][MACRO[rule]]["macro"]
    assert result.mean == pytest.approx(expected, abs=5e-5)


def test_selma_headline_without_the_unanswered_prompt(observations: Observations, specs: dict[str, Any]) -> None:
    assert summary(observations["sd2dot1"], specs, "selma").mean == pytest.approx(100 * 6362 / 8174)


@pytest.mark.parametrize("rule", ["official", "nodep", "selma"])
def test_an_unanswered_prompt_is_missing_not_zero(
    rule: str, observations: Observations, specs: dict[str, Any], golden: dict[str, Any]
) -> None:
    result = summary(observations["sd2dot1"], specs, rule)
    assert macro(result) == pytest.approx(golden["without_tifa160_134"][rule], abs=5e-5)
    assert (result.n_prompts, result.n_images, result.n_atoms) == (1059, 1059, 8174)
    assert result.coverage == pytest.approx(8174 / 8182)


def test_stored_answers_give_every_golden_value(
    observations: Observations, specs: dict[str, Any], golden: dict[str, Any], tmp_path: Path
) -> None:
    """From files alone, as a report or another rule reads them: all six rules, all eight groups."""
    rows = with_zero(observations["sd2dot1"], specs)
    write_scores(tmp_path, ScoreTable(MetricInfo(name="dsg", judge="pali17b"), specs, rows), [])
    table = read_scores(tmp_path)
    evaluator = Dsg(DsgOptions(benchmark="dsg1k", judge=Slot("openai")))
    for rule, column in MACRO.items():
        result = summarise(evaluator, table, rule)
        assert (result.judge, result.rule, result.n_prompts, result.n_atoms) == ("pali17b", rule, 1060, 8182)
        assert macro(result) == pytest.approx(golden["overall"][column]["macro"], abs=5e-5)
        for name, row in golden["groups"].items():
            wanted = 100 * row["all_yes"] / row["prompts"] if rule == "strict" else row[rule]
            assert macro(result, name) == pytest.approx(wanted, abs=5e-5), (rule, name)


def test_strict_counts_565_prompts(observations: Observations, specs: dict[str, Any]) -> None:
    result = summary(observations["sd2dot1"], specs, "strict")
    assert sum(p.value or 0 for p in result.prompts) == 565


@pytest.mark.parametrize("rule", PER_QUESTION)
def test_macro_by_group(rule: str, observations: Observations, specs: dict[str, Any], golden: dict[str, Any]) -> None:
    result = summary(with_zero(observations["sd2dot1"], specs), specs, rule)
    found = {name: macro(result, name) for name in golden["groups"]}
    assert found == pytest.approx({name: row[rule] for name, row in golden["groups"].items()}, abs=5e-5)
    if rule != "selma":
        assert result.groups == pytest.approx(found)


def test_official_groups_equal_the_readme(
    observations: Observations, specs: dict[str, Any], golden: dict[str, Any]
) -> None:
    result = summary(with_zero(observations["sd2dot1"], specs), specs, "official")
    assert {n: round(v, 1) for n, v in result.groups.items()} == {n: r["readme"] for n, r in golden["groups"].items()}


def test_strict_by_group(observations: Observations, specs: dict[str, Any], golden: dict[str, Any]) -> None:
    hits: dict[str, float] = defaultdict(float)
    sizes: dict[str, int] = defaultdict(int)
    for prompt in summary(with_zero(observations["sd2dot1"], specs), specs, "strict").prompts:
        hits[prompt.groups[0]] += prompt.value or 0
        sizes[prompt.groups[0]] += 1
    assert hits == {name: row["all_yes"] for name, row in golden["groups"].items()}
    assert sizes == {name: row["prompts"] for name, row in golden["groups"].items()}


@pytest.mark.parametrize("rule", ["official", "nodep", "selma"])
def test_hits_by_question_class(
    rule: str, observations: Observations, specs: dict[str, Any], golden: dict[str, Any]
) -> None:
    hits: dict[str, float] = defaultdict(float)
    answered: dict[str, int] = defaultdict(int)
    for question, score in question_scores(observations["sd2dot1"], specs, rule):
        hits[question["category_broad"]] += score
        answered[question["category_broad"]] += 1
    assert hits == {name: row[rule] for name, row in golden["classes"].items()}
    assert answered == {name: row["answered"] for name, row in golden["classes"].items()}
    found = summary(observations["sd2dot1"], specs, rule).categories
    assert {n: found[n] for n in hits} == pytest.approx({n: 100 * hits[n] / answered[n] for n in hits})


def test_single_prompts_that_separate_the_rules(
    observations: Observations, specs: dict[str, Any], golden: dict[str, Any]
) -> None:
    rows = {row.prompt_id: row for row in observations["sd2dot1"]}
    for key, expected in golden["prompts"].items():
        questions = questions_of(rows[key].atoms, specs[key])
        found = {rule: sum(s or 0 for s in rule_of(rule).zero(questions)) for rule in PER_QUESTION}
        assert {"n": len(questions), **found} == expected, key


def test_how_many_prompts_a_rule_changes(
    observations: Observations, specs: dict[str, Any], golden: dict[str, Any]
) -> None:
    images = {
        rule: [p.per_image for p in summary(observations["sd2dot1"], specs, rule).prompts] for rule in PER_QUESTION
    }
    changed = {
        f"official_{rule}": sum(a != b for a, b in zip(images["official"], images[rule], strict=True))
        for rule in ("nodep", "selma")
    }
    assert changed == golden["changed"]


@pytest.mark.parametrize("rule", ["official", "nodep", "selma"])
def test_deviation_over_prompts(
    rule: str, observations: Observations, specs: dict[str, Any], golden: dict[str, Any]
) -> None:
    result = summary(with_zero(observations["sd2dot1"], specs), specs, rule)
    deviation = stdev(100 * p.per_image[0] for p in result.prompts)
    assert deviation == pytest.approx(golden["sd"][rule], abs=5e-5)
    if rule == "official":
        assert deviation / math.sqrt(1060) == pytest.approx(golden["se_official"], abs=5e-5)


@pytest.mark.parametrize("rule", PER_QUESTION)
def test_tifa160_of_five_generators(
    rule: str, observations: Observations, specs: dict[str, Any], golden: dict[str, Any]
) -> None:
    part = {key: spec for key, spec in specs.items() if key.startswith("tifa160")}
    found = {}
    for model, rows in observations.items():
        mine = with_zero(tuple(row for row in rows if row.prompt_id in part), part)
        found[model] = macro(summary(mine, part, rule))
    assert found == pytest.approx({model: row[rule] for model, row in golden["generators"].items()}, abs=5e-5)


@pytest.mark.parametrize("index", [0, 1])
def test_paired_comparison(
    index: int, observations: Observations, specs: dict[str, Any], golden: dict[str, Any]
) -> None:
    expected = golden["paired"][index]
    part = {key: spec for key, spec in specs.items() if key.startswith("tifa160")}
    values = {}
    for model in (expected["from"], expected["to"]):
        mine = with_zero(tuple(row for row in observations[model] if row.prompt_id in part), part)
        values[model] = {p.prompt_id: 100 * (p.value or 0.0) for p in summary(mine, part, "official").prompts}
    after, before = values[expected["to"]], values[expected["from"]]
    found = paired(after, before, seed=0)
    assert (found.wins, found.ties, found.losses) == (expected["wins"], expected["ties"], expected["losses"])
    assert found.difference == pytest.approx(expected["difference"], abs=5e-5)
    assert found.se == pytest.approx(expected["se"], abs=5e-5)
    assert found.mde == pytest.approx(2.8 * expected["se"], abs=5e-4)
    assert (found.low, found.high) == pytest.approx(expected["ci"], abs=0.2)
    assert expected["p"][0] <= found.p <= expected["p"][1]
    unpaired = math.hypot(*(stdev(v.values()) / math.sqrt(160) for v in values.values()))
    assert unpaired == pytest.approx(expected["se_unpaired"], abs=5e-5)


def test_neither_yes_nor_no_is_counted(released: dict[str, list[dict[str, str]]], golden: dict[str, Any]) -> None:
    answers = [verdict(row["answer"]) for row in released["sd2dot1"]]
    assert (answers.count("yes"), answers.count("no"), answers.count("unclear")) == (6609, 1495, golden["unclear"])


def test_vendored_benchmark_holds_what_was_published(
    benchmark: dict[str, BenchmarkPrompt], dsg1k_entry: Entry, released: dict[str, list[dict[str, str]]]
) -> None:
    assert (len(benchmark), sum(len(prompt.questions) for prompt in benchmark.values())) == (1060, 8182)
    for row in released["sd2dot1"]:
        question = next(q for q in benchmark[row["item_id"]].questions if q.id == row["question_id"])
        assert (question.question, question.dependency) == (row["question"], row["dependency_id"])
    assert isinstance(dsg1k_entry.path, Path)
    with dsg1k_entry.path.open(encoding="utf-8", newline="") as stream:
        assert next(csv.reader(stream))[0] == "item_id"

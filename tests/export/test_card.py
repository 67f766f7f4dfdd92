"""Model cards: what the hub reads of them, where their numbers come from, and what they say without any."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import selma_core
from selma_core.adapters.card import adapter_card
from selma_core.cli import main
from selma_core.errors import UserError
from selma_core.result import Run
from tests.engine.kit import FAKES, RECIPE, write_recipe

Card = Callable[..., str]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The fake recipe, with one option from the command line."""
    folder = tmp_path_factory.mktemp("card")
    shutil.copy(FAKES, folder / "fakes.py")
    write_recipe(folder / "selma.yaml", RECIPE)
    return selma_core.run(folder / "selma.yaml", ["stages.merge.options.scale=0.5"], store=folder / "store")


@pytest.fixture
def card(ran: Run) -> Card:
    def card(name: str, **more: Any) -> str:
        return adapter_card(name, store=ran.store, plugins=[ran.store.parent / "fakes.py"], **more)

    return card


def front(text: str) -> dict[str, Any]:
    assert text.startswith("---\n")
    return dict(yaml.safe_load(text.split("---\n")[1]))


def row_of(text: str, start: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {start} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_numbers_are_those_of_the_run(ran: Run, card: Card) -> None:
    text = card("latest:merge")
    scores, compared = ran.result["scores"], ran.result["comparisons"][0]
    cells = row_of(text, "light")
    assert cells[1] == f"{scores['merged']['light']['mean']:.1f}"
    assert cells[3] == f"{scores['base']['light']['mean']:.1f}"
    assert cells[4] == f"{compared['difference']:+.1f}"
    assert cells[7:9] == [str(scores["merged"]["light"]["n_prompts"]), str(scores["merged"]["light"]["n_images"])]
    assert cells[-1] == r"score\[merged\]"
    (metric,) = front(text)["model-index"][0]["results"][0]["metrics"]
    assert metric["value"] == scores["merged"]["light"]["mean"]
    low, high = metric["args"]["interval_95"]
    assert low <= metric["value"] <= high


def test_the_hub_reads_it(card: Card) -> None:
    hub = pytest.importorskip("huggingface_hub")
    read = hub.ModelCard(card("latest:merge", license="apache-2.0", title="two skills"))
    assert read.data.license == "apache-2.0"
    assert read.data.library_name == "diffusers"
    assert "lora" in read.data.tags
    (result,) = read.data.eval_results
    assert (result.task_type, result.metric_type) == ("text-to-image", "light")
    assert read.text.lstrip().startswith("# two skills")


def test_how_it_was_made(ran: Run, card: Card) -> None:
    text = card("latest:merge")
    assert row_of(text, "merge")[1:4] == ["merge\\_strategy".replace("\\_", "_"), "fakes.py/fake_merge", "scale: 0.5"]
    for node in ("prompts[count]", "images[count]", "expert[general]"):
        cells = row_of(text, node.replace("[", r"\[").replace("]", r"\]"))
        assert cells[-1] == ran.node(node).fingerprint[:12]
    assert row_of(text, r"prompts\[count\]")[3] == "skill: count"
    assert "-o stages.merge.options.scale=0.5" in text
    assert ran.run_id in text
    assert ran.node("merge").fingerprint in text
    assert "base_model" not in front(text)  # `fake` is no model of the hub
    assert "license" not in front(text)
    assert "has stated no licence" in text


def test_a_copy_is_known_by_its_hash(ran: Run, card: Card, tmp_path: Path) -> None:
    shutil.copy(ran.adapter("expert[count]"), tmp_path / "mine.safetensors")
    text = card(str(tmp_path / "mine.safetensors"))
    assert f"{ran.result['scores']['expert_count']['light']['mean']:.1f}" == row_of(text, "light")[1]
    assert 'weight_name="mine.safetensors"' in text
    assert card("expert[count]", run="latest") == card("latest:expert[count]")


def test_what_was_not_measured_says_so(ran: Run, card: Card, tmp_path: Path) -> None:
    files = [ran.adapter("expert[count]"), ran.adapter("expert[general]")]
    plugins = [ran.store.parent / "fakes.py"]
    selma_core.merge(files, tmp_path / "m.safetensors", strategy="fake_merge", base="a/b", plugins=plugins)
    text = card(str(tmp_path / "m.safetensors"))
    assert "was not measured: no stage of the store made this file" in text
    assert (front(text)["base_model"], front(text)["inference"]) == ("a/b", True)
    assert "model-index" not in front(text)
    assert row_of(text, "strategy")[1].endswith("fake_merge")
    for score in ran.result["scores"].values():
        assert f"{score['light']['mean']:.1f}" not in text


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("latest:mege", "has no adapter 'mege'; did you mean 'merge'?"),
        ("lates:merge", "no run 'lates'"),
        ("nothing.safetensors", "no such file; a stage is written RUN:STAGE"),
        ("latest:bench", "has no adapter 'bench'"),
    ],
)
def test_mistakes(card: Card, name: str, line: str) -> None:
    with pytest.raises(UserError, match=line.replace("?", r"\?")):
        card(name)


def test_a_stage_that_is_not_stored_any_more(ran: Run, card: Card) -> None:
    folder = ran.artifact("expert[general]")
    folder.rename(folder.with_suffix(".away"))
    try:
        with pytest.raises(UserError, match=r"expert\[general\] is not in the store"):
            card("latest:expert[general]")
        assert "| light |" in card("latest:merge")  # made from it, and measured all the same
    finally:
        folder.with_suffix(".away").rename(folder)


def test_the_command(ran: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], card: Card) -> None:
    at = ("--store", str(ran.store), "--plugin", str(ran.store.parent / "fakes.py"))
    assert main(("adapter", "card", "latest:merge", "--out", str(tmp_path / "new" / "README.md"), *at)) == 0
    assert (tmp_path / "new" / "README.md").read_text() == card("latest:merge")
    capsys.readouterr()
    assert main(("adapter", "card", "latest:merge", *at)) == 0
    assert capsys.readouterr().out == card("latest:merge")

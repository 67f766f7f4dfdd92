"""The trained judge `shapes_vqa`: an ordinary chat model, good enough on held-out scenes, and never used to select."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
import yaml
from selma_plugins.shapes.questions import questions_for
from selma_plugins.shapes.render import render
from selma_plugins.shapes.scene import random_scene
from selma_plugins.shapes.spec import describe
from selma_plugins.shapes.train.degrade import degrade
from selma_plugins.shapes.train.evaluate_vqa import accuracy, held_out
from selma_plugins.shapes.vqa.chat import ShapesVqa
from selma_plugins.shapes.vqa.network import WORDS, VqaNet, encode, load_net, padded, save_net
from selma_plugins.shapes.vqa.options import VqaOptions

from selma_core.catalog import Catalog
from selma_core.config import open_recipe
from selma_core.data import ChatRequest, Message
from selma_core.errors import ModelError
from selma_core.options import Slot
from selma_core.protocols import ChatModel
from selma_core.registry import Registry
from selma_core.testing import FakeContext

MEGABYTE = 1_000_000
CLASSES = {"whole", "color", "size", "count", "spatial", "background"}


@pytest.fixture(scope="module")
def folder() -> Path:
    path = Registry(Catalog.discover().registry_sources()).entry("models", "shapes_vqa").path
    assert path is not None
    return path


@pytest.fixture
def judge(folder: Path) -> ShapesVqa:
    return ShapesVqa(VqaOptions(model=str(folder)))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    render(random_scene(Random(1))).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def asked(path: Path, text: str, **more: Any) -> ChatRequest:
    return ChatRequest(messages=(Message.user(path, text),), **more)


def test_it_is_a_chat_model_that_a_slot_names(folder: Path, picture: Path, tmp_path: Path) -> None:
    catalog = Catalog.discover()
    entries = {("models", "shapes_vqa"): Registry(catalog.registry_sources()).entry("models", "shapes_vqa")}
    offer = catalog.find("chat_model", Slot("shapes_vqa").use)
    judge = catalog.build(offer, VqaOptions())
    judge.attach(FakeContext(workdir=tmp_path, entries=entries))
    assert isinstance(judge, ChatModel)
    assert judge.identity == "shapes_vqa"
    (reply,) = judge.reply([asked(picture, "Is the background white?\nAnswer only yes or no.")])
    assert reply.text in ("yes", "no")
    assert reply.error is None


def test_probabilities_of_yes_and_no_sum_to_one_and_say_what_the_text_says(judge: ShapesVqa, picture: Path) -> None:
    texts = [f"Is there a {shape}?" for shape in ("circle", "star", "ring", "cross")]
    for reply in judge.reply([asked(picture, text, choices=("yes", "no")) for text in texts]):
        assert reply.choice_logprobs is not None
        assert sum(math.exp(value) for value in reply.choice_logprobs.values()) == pytest.approx(1.0)
        assert max(reply.choice_logprobs, key=lambda choice: reply.choice_logprobs[choice]) == reply.text
    (capital,) = judge.reply([asked(picture, texts[0], choices=("Yes", "No"))])
    assert set(capital.choice_logprobs or {}) == {"Yes", "No"}


def test_what_it_cannot_know_it_does_not_guess(judge: ShapesVqa, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    bad = [
        (asked(picture, "Is the dog asleep?"), "'dog'"),
        (asked(picture, "Is there a circle"), "question ending"),
        (ChatRequest(messages=(Message.user("Is there a circle?"),)), "one image"),
        (asked(tmp_path / "absent.png", "Is there a circle?"), "absent.png"),
        (asked(tmp_path / "broken.png", "Is there a circle?"), "broken.png"),
    ]
    replies = judge.reply([*(request for request, _ in bad), asked(picture, "Is there a circle?")])
    for reply, (_, part) in zip(replies, bad, strict=False):
        assert (reply.text, reply.choice_logprobs) == ("", None)
        assert part in (reply.error or "")
    assert replies[-1].error is None
    (other,) = judge.reply([asked(picture, "Is there a circle?", choices=("red", "blue"))])
    assert other.choice_logprobs is None


def test_an_answer_does_not_depend_on_its_neighbours(judge: ShapesVqa, tmp_path: Path) -> None:
    requests = []
    for number in range(5):
        scene = random_scene(Random(number))
        render(scene).save(tmp_path / f"{number}.png")
        questions = questions_for(describe(scene))
        requests += [asked(tmp_path / f"{number}.png", q.question, choices=("yes", "no")) for q in questions]
    together = judge.reply(requests)
    alone = [judge.reply([request])[0] for request in requests]
    mixed = judge.reply(requests[::-1])[::-1]
    for a, b, c in zip(together, alone, mixed, strict=True):
        assert a.text == b.text == c.text
        assert (a.choice_logprobs or {})["yes"] == pytest.approx((b.choice_logprobs or {})["yes"], abs=1e-3)


def test_missing_and_foreign_weights_are_named(tmp_path: Path, picture: Path) -> None:
    for files in ({}, {"config.json": '{"model_type": "other"}'}):
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        with pytest.raises(ModelError, match=r"shapes_vqa cannot read the model folder"):
            ShapesVqa(VqaOptions(model=str(tmp_path))).reply([asked(picture, "Is there a circle?")])


def test_every_question_of_the_world_can_be_read() -> None:
    rng = Random(2)
    for _ in range(300):
        for question in questions_for(describe(random_scene(rng))):
            assert encode(question.question)
    assert len(WORDS) == len(set(WORDS))


def test_weights_come_back_and_are_small(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = VqaNet(width=16, gates=5).eval()
    save_net(tmp_path / "net", net)
    questions = padded([encode("Is there a star?"), encode("Is the ring above the cross?")])[None]
    pictures = torch.rand(1, 3, 64, 64) * 2 - 1
    torch.testing.assert_close(
        load_net(tmp_path / "net")(pictures, questions), net(pictures, questions), atol=0.02, rtol=0.02
    )
    assert sum(file.stat().st_size for file in folder.iterdir()) < 2 * MEGABYTE


def test_it_is_right_on_held_out_scenes_in_every_class_of_question(folder: Path) -> None:
    found = accuracy(load_net(folder), held_out(100, seed=11))
    assert set(found) == {(kind, answer) for kind in CLASSES for answer in (True, False)}
    right = [mark for marks in found.values() for mark in marks]
    assert sum(right) / len(right) >= 0.995
    assert min(sum(marks) / len(marks) for marks in found.values()) >= 0.98, {
        k: sum(v) / len(v) for k, v in found.items()
    }


def test_it_still_reads_spoilt_pictures(folder: Path) -> None:
    generator = torch.Generator().manual_seed(3)
    marks = accuracy(load_net(folder), held_out(100, seed=12), lambda pictures: degrade(pictures, 1.0, generator))
    right = [mark for each in marks.values() for mark in each]
    assert sum(right) / len(right) >= 0.98


def slots(value: Any) -> list[str]:
    """Every plugin that an object of a recipe names, at any depth."""
    if isinstance(value, dict):
        own = [value["use"]] if isinstance(value.get("use"), str) else []
        return own + [name for item in value.values() for name in slots(item)]
    return [name for item in value for name in slots(item)] if isinstance(value, list) else []


def readers(stages: dict[str, dict[str, Any]]) -> dict[str, set[str]]:
    """Label -> the labels it reads, directly."""
    found = defaultdict(set)
    for label, slot in stages.items():
        for source in (slot.get("from") or {}).values():
            names = source if isinstance(source, list) else [source]
            found[label] |= {str(name).split("[")[0] for name in names}
    return found


def test_no_bundled_recipe_or_ablation_selects_by_it(root: Path) -> None:
    used = set()
    for path in sorted((root / "registry/selma_registry/recipes").glob("*.yaml")):
        stages = open_recipe(path.stem).recipe.data["stages"]
        asking = {label for label, slot in stages.items() if "shapes_vqa" in slots(slot)}
        used |= {path.stem} if asking else set()
        # A merge search or a trainer with a reward would name it too; and nobody may read what it scored.
        assert {stages[label]["kind"] for label in asking} <= {"evaluator"}, path.stem
        assert not [label for label, sources in readers(stages).items() if sources & asking], path.stem
    for path in sorted((root / "registry/selma_registry/ablations").rglob("*.yaml")):
        assert "shapes_vqa" not in path.read_text(), path.stem
    assert used == {"shapes_two_judges", "finerewards_shapes"}
    assert "shapes_two_judges" not in " ".join(
        str(yaml.safe_load(path.read_text()).get("extends"))
        for path in (root / "registry/selma_registry/recipes").glob("*.yaml")
    )

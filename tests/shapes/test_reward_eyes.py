"""The stand-ins behind the shapes world's rewards: right without errors, wrong at the stated rates with them."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from selma_plugins.evaluation.rewards.caption import CaptionReward
from selma_plugins.evaluation.rewards.options import CaptionRewardOptions, SegmentRewardOptions
from selma_plugins.evaluation.rewards.replies import rating
from selma_plugins.evaluation.rewards.segment import SegmentReward
from selma_plugins.shapes.options import EyesOptions, RaterOptions
from selma_plugins.shapes.reading import read
from selma_plugins.shapes.render import render
from selma_plugins.shapes.rewards.chat import ShapesCaptioner, ShapesRater, ShapesSegmenter
from selma_plugins.shapes.rewards.eyes import look
from selma_plugins.shapes.scene import random_scene
from selma_plugins.shapes.spec import describe

from selma_core.data import ChatRequest, ImageItem, Message, Prompt
from selma_core.options import Slot
from selma_core.testing import FakeContext

SURE = EyesOptions(miss=0, wrong=0, ghost=0)
COUNT = 60


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Any]]:
    folder, rng, found = tmp_path_factory.mktemp("scenes"), Random(5), []
    for i in range(COUNT):
        scene = random_scene(rng)
        path = folder / f"{i}.png"
        render(scene).save(path)
        found.append((path, describe(scene)))
    return found


def say(chat: Any, path: Path) -> str:
    (reply,) = chat.reply([ChatRequest(messages=(Message.user(path, "what is there"),))])
    assert reply.error is None
    return str(reply.text)


def test_without_errors_a_caption_says_what_is_there(scenes: list[tuple[Path, Any]]) -> None:
    for path, spec in scenes:
        found = read(say(ShapesCaptioner(SURE), path)).groups
        assert sorted((g.shape, g.color, g.count) for g in found) == sorted(
            (g.shape, g.color, g.count) for g in spec.groups
        )


def test_without_errors_segments_are_the_objects(scenes: list[tuple[Path, Any]]) -> None:
    for path, spec in scenes:
        data = json.loads(say(ShapesSegmenter(SURE), path))
        assert sorted(data["tags"]) == sorted(f"{g.color} {g.shape}" for g in spec.groups)
        assert len(data["segments"]) == sum(g.count for g in spec.groups)
        assert all(0 < one["area"] < 0.3 for one in data["segments"])


def test_errors_come_at_the_stated_rates_and_are_the_pictures_own(scenes: list[tuple[Path, Any]]) -> None:
    rates = EyesOptions()
    steady = EyesOptions(ghost=0)
    total = missed = changed = 0
    for path, who in ((path, who) for path, _ in scenes for who in "abcdefgh"):
        truth, seen = look(path, who, SURE), look(path, who, steady)
        assert seen == look(path, who, steady)
        places = {(one.cx, one.cy): (one.shape, one.color) for one in truth}
        total += len(truth)
        missed += len(truth) - len(seen)
        changed += sum(places[one.cx, one.cy] != (one.shape, one.color) for one in seen)
    assert missed / total == pytest.approx(rates.miss, abs=0.03)
    assert changed / (total - missed) == pytest.approx(rates.wrong, abs=0.03)
    others = sum(look(path, "a", rates) != look(path, "b", rates) for path, _ in scenes)
    assert others > COUNT / 4, "two pairs of eyes err by themselves"
    ghosts = [
        len(look(path, "a", EyesOptions(miss=0, wrong=0, ghost=1))) - len(look(path, "a", SURE)) for path, _ in scenes
    ]
    assert ghosts == [1] * COUNT


def rate(text: str, *things: str, unsure: float = 0.0) -> dict[str, Any]:
    request = ChatRequest(messages=(Message.user(rating(text, things, recall=True)),))
    (reply,) = ShapesRater(RaterOptions(unsure=unsure)).reply([request])
    assert reply.error is None, reply.error
    found: dict[str, Any] = json.loads(reply.text)
    return found


def test_the_rater_reads_the_prompt() -> None:
    text = "a red circle and two blue squares"
    assert rate(text, "red circle", "green circle", "star") == {
        "scores": {"red circle": 3, "green circle": 1, "star": 1},
        "missing": ["blue square"],
    }
    assert rate(text, "red circle", unsure=1.0)["scores"] == {"red circle": 2}
    request = ChatRequest(messages=(Message.user(rating("the meaning of life", [], recall=False)),))
    assert ShapesRater(RaterOptions()).reply([request])[0].error is not None


def test_both_rewards_prefer_the_right_picture(scenes: list[tuple[Path, Any]]) -> None:
    """Each picture against the next one, under the prompt of the first; with errors, mostly."""
    items, prompts = [], []
    for i, (path, spec) in enumerate(scenes):
        text = " and ".join(
            f"{('a', 'two', 'three', 'four')[g.count - 1]} {g.color} {g.shape}" for g in spec.groups if g.count == 1
        )
        if not text:
            continue
        prompt = Prompt(id=f"p{i}", text=text)
        prompts.append(prompt)
        other = scenes[(i + 1) % COUNT][0]
        for k, file in enumerate((path, other)):
            items.append(ImageItem(item_id=f"p{i}-{k}", prompt=prompt, path=file, sha256=f"{i}{k}", k=k))
    chats = {
        ("chat_model", "cap"): ShapesCaptioner(EyesOptions()),
        ("chat_model", "seg"): ShapesSegmenter(EyesOptions()),
        ("chat_model", "rate"): ShapesRater(RaterOptions()),
    }
    context = FakeContext(workdir=Path(), components=chats)
    rewards: list[Any] = [
        CaptionReward(CaptionRewardOptions(captioner=Slot("cap"), similarity="words")),
        SegmentReward(SegmentRewardOptions(tagger=Slot("seg"), judge=Slot("rate"), recall=True)),
    ]
    for reward in rewards:
        specs = reward.prepare(prompts, context)
        values = {
            r.item_id: reward.score(r.atoms, None, reward.info.rules[0]) for r in reward.observe(items, specs, context)
        }
        assert all(value is not None for value in values.values())
        won = sum(values[f"{p.id}-0"] > values[f"{p.id}-1"] for p in prompts)
        assert won > 0.85 * len(prompts), (reward.info.name, won, len(prompts))

"""Scoring K images of N prompts is asked for in batches, once: another recipe with the same reward asks nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import selma_core
from selma_core.ablation import open_ablation
from selma_core.result import Run

PROMPTS = ("a red cat", "a blue hat", "two green frogs")
# A generator of plain pictures, and chat models that write down how many requests came in one call.
PLUGIN = """
import json
import os

from PIL import Image

from selma_core import hookimpl
from selma_core.data import ChatReply
from selma_core.records import ChatModelRecord, ImageGeneratorRecord, NoOptions


class Draw:
    images_per_prompt = 4

    def __init__(self, options):
        pass

    def images(self, job):
        for request in job.requests:
            picture = Image.new("RGB", (8, 8), (request.seed % 251, request.k * 9, 7))
            picture.putpixel((0, 0), (255, 255, 255))  # not blank
            yield request, picture


class Chat:
    name = ""
    text = ""

    def __init__(self, options):
        self.identity = f"counting:{self.name}"

    def reply(self, requests):
        with open(os.environ["CHAT_LOG"], "a") as log:
            log.write(f"{self.name} {len(requests)}\\n")
        return [ChatReply(text=self.text) for _ in requests]


class Captioner(Chat):
    name, text = "captioner", "a red cat"


class Tagger(Chat):
    name, text = "tagger", json.dumps({"tags": ["cat"]})


class Judge(Chat):
    name, text = "judge", json.dumps({"scores": {"cat": 3}, "missing": []})


@hookimpl
def selma_chat_models():
    for name, kind in (("captioner", "Captioner"), ("tagger", "Tagger"), ("judge", "Judge")):
        yield ChatModelRecord(name=f"counting_{name}", summary="x", factory=f"counting:{kind}", options=NoOptions)


@hookimpl
def selma_image_generators():
    yield ImageGeneratorRecord(name="plain_pictures", summary="x", factory="counting:Draw", options=NoOptions)
"""


def recipe(folder: Path, keep: dict[str, Any]) -> dict[str, Any]:
    return {
        "summary": "rewards",
        "plugins": {"files": ["counting.py"]},
        "report": {"scores": "caption"},
        "stages": {
            "texts": {"kind": "prompt_source", "use": "prompt_file", "options": {"path": str(folder / "p.txt")}},
            "draw": {"kind": "image_generator", "use": "plain_pictures", "from": {"prompts": "texts"}},
            "caption": {
                "kind": "evaluator",
                "use": "caption_reward",
                "from": {"images": "draw"},
                "options": {"captioner": {"use": "counting_captioner"}, "similarity": "words", "batch": 5},
            },
            "segment": {
                "kind": "evaluator",
                "use": "segment_reward",
                "from": {"images": "draw"},
                "options": {"tagger": {"use": "counting_tagger"}, "judge": {"use": "counting_judge"}, "batch": 6},
            },
            "keep": {"kind": "selector", "from": {"images": "draw", "scores": ["caption", "segment"]}, **keep},
        },
    }


ASSEMBLED = {"use": "rank_assembly", "options": {"rewards": ["caption_reward", "segment_reward"]}}
SUMMED = {"use": "best_of", "options": {"rewards": ["caption_reward", "segment_reward"], "mode": "zscore_sum"}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAT_LOG", str(tmp_path / "log.txt"))
    (tmp_path / "counting.py").write_text(PLUGIN)
    (tmp_path / "p.txt").write_text("\n".join(PROMPTS))
    (tmp_path / "assembled.yaml").write_text(yaml.safe_dump(recipe(tmp_path, ASSEMBLED)))
    (tmp_path / "summed.yaml").write_text(yaml.safe_dump(recipe(tmp_path, SUMMED)))
    return tmp_path


def run(folder: Path, name: str, *overrides: str) -> Run:
    done = selma_core.run(folder / f"{name}.yaml", list(overrides), store=folder / "store")
    assert done.ok, [(node.id, node.error) for node in done.failed]
    return done


def calls(folder: Path) -> dict[str, list[int]]:
    """Who was called since the last time -> the requests of each call."""
    log = folder / "log.txt"
    found: dict[str, list[int]] = {}
    for line in log.read_text().splitlines() if log.exists() else []:
        name, count = line.split()
        found.setdefault(name, []).append(int(count))
    log.unlink(missing_ok=True)
    return found


def test_scoring_goes_in_batches_and_equal_questions_once(folder: Path) -> None:
    run(folder, "assembled")
    assert calls(folder) == {
        "captioner": [5, 5, 2],
        "tagger": [6, 6],
        # Of 12 images the judge gets three questions: one per prompt and list of things.
        "judge": [2, 1],
    }


def test_a_second_recipe_with_the_same_rewards_asks_nothing(folder: Path) -> None:
    first = run(folder, "assembled")
    calls(folder)
    second = run(folder, "summed")
    assert calls(folder) == {}
    assert {node.id: node.outcome for node in second.nodes} == {
        "texts": "reused", "draw": "reused", "caption": "reused", "segment": "reused", "keep": "ran",
    }  # fmt: skip
    rules = [{item.selection["rule"] for item in done.images("keep")} for done in (first, second)]
    assert rules == [{"rank_assembly"}, {"best_of"}]


def test_another_weight_batch_or_label_asks_nothing_and_another_reward_only_for_itself(folder: Path) -> None:
    run(folder, "assembled")
    calls(folder)
    run(folder, "assembled", "stages.keep.options.weights={segment_reward: 3.0}", "stages.caption.options.batch=1")
    assert calls(folder) == {}
    renamed = yaml.safe_load((folder / "assembled.yaml").read_text())
    renamed["stages"]["see"] = renamed["stages"].pop("caption")
    renamed["stages"]["keep"]["from"]["scores"] = ["see", "segment"]
    renamed["report"]["scores"] = "see"
    (folder / "renamed.yaml").write_text(yaml.safe_dump(renamed))
    run(folder, "renamed")
    assert calls(folder) == {}
    run(folder, "assembled", "stages.segment.options.recall=true")
    assert set(calls(folder)) == {"tagger", "judge"}


def test_variants_of_an_ablation_share_their_scores(folder: Path) -> None:
    judged = recipe(folder, ASSEMBLED)
    judged["stages"]["kept"] = {**recipe(folder, ASSEMBLED)["stages"]["segment"], "from": {"images": "keep"}}
    (folder / "judged.yaml").write_text(yaml.safe_dump({**judged, "report": {"scores": "kept"}}))
    data = {
        "recipe": "judged.yaml",
        "metric": "segment_reward",
        "variants": {"both": [], "one": ["stages.keep.options.rewards=[caption_reward]"]},
    }
    (folder / "which.yaml").write_text(yaml.safe_dump(data))
    status = {row.id: row.status for row in open_ablation(folder / "which.yaml", store=folder / "store").plan}
    assert {name for name, found in status.items() if found == "run" and not name.endswith((":keep", ":kept"))} == {
        "both:texts", "both:draw", "both:caption", "both:segment",
    }  # fmt: skip
    done = selma_core.ablate(folder / "which.yaml", store=folder / "store")
    assert done.ok
    assert calls(folder)["captioner"] == [5, 5, 2]

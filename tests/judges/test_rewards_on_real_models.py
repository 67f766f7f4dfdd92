"""FineRewards' rewards and semantic accuracy over small random models of the real classes: the whole path runs.

What such models say is no JSON and no answer, so it is missing data or wrong, and never a made-up number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from selma_plugins.chat.options import TransformersOptions
from selma_plugins.chat.transformers_chat import TransformersChat
from selma_plugins.evaluation.rewards.caption import CaptionReward
from selma_plugins.evaluation.rewards.options import CaptionRewardOptions, SegmentRewardOptions
from selma_plugins.evaluation.rewards.segment import SegmentReward
from selma_plugins.vqa.accuracy import SemanticAccuracy
from selma_plugins.vqa.options import SemanticAccuracyOptions
from transformers import LlamaConfig, LlamaForCausalLM

from selma_core.data import ImageItem, Prompt
from selma_core.options import Slot
from selma_core.testing import FakeContext
from tests import tiny_models
from tests.rewards.kit import Chat

PROMPT = Prompt(id="p", text="a red circle is lying above two blue squares")


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llm")
    tokenizer = tiny_models.clip_tokenizer(folder / "made")
    torch.manual_seed(4)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=4096, initializer_range=0.3,
    )  # fmt: skip
    LlamaForCausalLM(config).eval().save_pretrained(folder)
    tokenizer.model_max_length = 4096
    tokenizer.save_pretrained(folder)
    return folder


def images(pictures: list[Path]) -> list[ImageItem]:
    return [
        ImageItem(item_id=f"p-{k}", prompt=PROMPT, path=path, sha256=str(k), k=k) for k, path in enumerate(pictures)
    ]


def observed(evaluator: Any, items: list[ImageItem], folder: Path, **chats: Any) -> tuple[list[Any], FakeContext]:
    context = FakeContext(workdir=folder, components={("chat_model", name): chat for name, chat in chats.items()})
    specs: Mapping[str, Any] = evaluator.prepare([PROMPT], context)
    return list(evaluator.observe(items, specs, context)), context


@pytest.mark.parametrize("name", ["llava", "qwen3", "instructblip"])
def test_vision_models_caption_tag_and_answer(
    judge: Callable[..., Any], pictures: list[Path], name: str, tmp_path: Path
) -> None:
    eye, items = judge(name), images(pictures)
    caption = CaptionReward(
        CaptionRewardOptions(captioner=Slot("eye"), similarity="words", instruction="is there a", max_tokens=6)
    )
    rows, _ = observed(caption, items, tmp_path, eye=eye)
    assert [row.item_id for row in rows] == [item.item_id for item in items]
    assert all(atom.status == "ok" or atom.value is None for row in rows for atom in row.atoms)
    never = Chat("judge", lambda stem, text: pytest.fail("there is nothing to rate"))
    segment = SegmentReward(SegmentRewardOptions(tagger=Slot("eye"), judge=Slot("judge"), max_tokens=6))
    rows, context = observed(segment, items, tmp_path, eye=eye, judge=never)
    assert {atom.status for row in rows for atom in row.atoms} == {"error"}
    if name != "instructblip":  # which has no room for the request
        assert context.warnings == ["segment_reward: the replies on 3 of 3 images were unreadable"]
    accuracy = SemanticAccuracy(SemanticAccuracyOptions(judge=Slot("eye"), question_template="{question}"))
    rows, _ = observed(accuracy, items, tmp_path, eye=eye)
    assert [[atom.key for atom in row.atoms] for row in rows] == [["action_0", "color_0", "color_1", "counting_0"]] * 3
    assert all(atom.value in (0, 1) for row in rows for atom in row.atoms if atom.status == "ok")


def test_a_language_model_rates(llm: Path, pictures: list[Path], tmp_path: Path) -> None:
    rater = TransformersChat(TransformersOptions(model=str(llm)))
    tags = Chat("tagger", lambda stem, text: json.dumps({"tags": ["circle", "square"]}))
    segment = SegmentReward(SegmentRewardOptions(tagger=Slot("tags"), judge=Slot("rater"), max_tokens=8))
    rows, context = observed(segment, images(pictures), tmp_path, tags=tags, rater=rater)
    assert all(atom.status == "error" and atom.raw for row in rows for atom in row.atoms)
    assert context.warnings == ["segment_reward: the replies on 3 of 3 images were unreadable"]
    assert str(llm) in segment.info.judge

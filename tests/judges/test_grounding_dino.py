"""Grounding DINO and SAM on tiny random models of the real classes, and the segment reward over them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from selma_plugins.evaluation.rewards.options import SegmentRewardOptions
from selma_plugins.evaluation.rewards.replies import read_segments, seeking
from selma_plugins.evaluation.rewards.segment import SegmentReward
from selma_plugins.judges.boxes import Box, apart
from selma_plugins.judges.grounding_dino import GroundingDinoChat
from selma_plugins.judges.options import GroundingDinoOptions
from transformers import models

from selma_core.data import ChatRequest, ImageItem, Message, Prompt
from selma_core.errors import ModelError
from selma_core.options import Slot
from selma_core.testing import FakeContext
from tests.rewards.kit import rater

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "red", "blue", "circle", "square", "dog", "?"]
SCORES = {"red circle": 3, "blue square": 1, "dog": 2}


def _text() -> Any:
    return transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
        pad_token_id=0,
    )


@pytest.fixture(scope="module")
def dino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dino")
    backbone = transformers.SwinConfig(
        image_size=128, patch_size=4, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=4,
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = transformers.GroundingDinoConfig(
        backbone_config=backbone, text_config=_text(), d_model=64, num_queries=9, encoder_layers=1, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
        num_feature_levels=4, max_text_len=96,
    )  # fmt: skip
    torch.manual_seed(1)
    transformers.GroundingDinoForObjectDetection(config).eval().save_pretrained(folder)
    tokenizer = transformers.BertTokenizer({word: i for i, word in enumerate(WORDS)})
    images = models.grounding_dino.image_processing_pil_grounding_dino.GroundingDinoImageProcessorPil(
        size={"shortest_edge": 128, "longest_edge": 192}
    )
    transformers.GroundingDinoProcessor(images, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam")
    config = transformers.SamConfig(
        vision_config=transformers.SamVisionConfig(
            hidden_size=16, output_channels=16, num_hidden_layers=1, num_attention_heads=2, image_size=64,
            patch_size=16, mlp_dim=16, window_size=2, global_attn_indexes=[0], num_pos_feats=8,
        ),
        prompt_encoder_config=transformers.SamPromptEncoderConfig(
            hidden_size=16, image_size=64, patch_size=16, mask_input_channels=4
        ),
        mask_decoder_config=transformers.SamMaskDecoderConfig(
            hidden_size=16, mlp_dim=16, num_hidden_layers=1, num_attention_heads=2, iou_head_hidden_dim=16
        ),
    )  # fmt: skip
    torch.manual_seed(2)
    transformers.SamModel(config).eval().save_pretrained(folder)
    models.sam.image_processing_pil_sam.SamImageProcessorPil(
        size={"longest_edge": 64}, pad_size={"height": 64, "width": 64}
    ).save_pretrained(folder)
    return folder


def chat(dino: Path, **options: Any) -> GroundingDinoChat:
    return GroundingDinoChat(GroundingDinoOptions(**{"model": str(dino), "threshold": 0.0, "overlap": 1.0} | options))


def ask(picture: Path, *things: str) -> ChatRequest:
    return ChatRequest(messages=(Message.user(picture, seeking(things)),))


def test_it_replies_with_segments_of_the_things_asked_for(dino: Path, pictures: list[Path]) -> None:
    replies = chat(dino).reply([ask(picture, "Red circle", "dog") for picture in pictures])
    for reply in replies:
        rows = json.loads(reply.text)["segments"]
        assert len(rows) == 9, "every query is a box when nothing is too unsure"
        assert {row["label"] for row in rows} <= {"Red circle", "dog"}
        assert all(0 <= row["area"] <= 1 and 0 <= row["confidence"] <= 1 for row in rows)
        assert read_segments(reply.text)
    assert len({reply.text for reply in replies}) == len(pictures), "the picture counts"
    assert chat(dino).reply([ask(p, "Red circle", "dog") for p in pictures[::-1]])[::-1] == replies
    assert json.loads(chat(dino, threshold=1.0).reply([ask(pictures[0], "dog")])[0].text) == {"segments": []}


def test_many_things_are_asked_for_in_parts(dino: Path, pictures: list[Path]) -> None:
    """Each part of 20 is a text of its own, with all its queries."""
    things = [f"{a} {b}" for a in ("red", "blue") for b in WORDS[6:11]] + [f"dog {w}" for w in WORDS[6:11]]
    things += [f"circle {w}" for w in WORDS[6:11]] + ["dog"]
    assert len(things) == 21
    alone = json.loads(chat(dino).reply([ask(pictures[0], "dog")])[0].text)["segments"]
    rows = json.loads(chat(dino).reply([ask(pictures[0], *things)])[0].text)["segments"]
    assert len(rows) == 18
    assert [row for row in rows if row["label"] == "dog"] == alone


def test_masks_give_other_areas_than_boxes(dino: Path, sam: Path, pictures: list[Path]) -> None:
    boxes = json.loads(chat(dino).reply([ask(pictures[1], "dog")])[0].text)["segments"]
    masks = json.loads(chat(dino, sam=str(sam)).reply([ask(pictures[1], "dog")])[0].text)["segments"]
    assert [row["confidence"] for row in masks] == [row["confidence"] for row in boxes]
    assert [row["area"] for row in masks] != [row["area"] for row in boxes]
    assert all(0 <= row["area"] <= 1 for row in masks)


def test_the_segment_reward_runs_on_it(dino: Path, sam: Path, pictures: list[Path], tmp_path: Path) -> None:
    prompt = Prompt(id="p", text="a red circle")
    items = [
        ImageItem(item_id=f"p-{k}", prompt=prompt, path=path, sha256=str(k), k=k) for k, path in enumerate(pictures)
    ]
    options = SegmentRewardOptions(
        reading="segments", segmenter=Slot("dino"), judge=Slot("judge"), categories=["red circle", "blue square", "dog"]
    )
    models = {("chat_model", "dino"): chat(dino, sam=str(sam)), ("chat_model", "judge"): rater(SCORES)}
    context = FakeContext(workdir=tmp_path, components=models)
    evaluator = SegmentReward(options)
    specs = evaluator.prepare([prompt], context)
    rows = list(evaluator.observe(items, specs, context))
    for rule in ("precision", "area"):
        assert all(-0.5 <= (evaluator.score(row.atoms, None, rule) or 0.0) <= 0.5 for row in rows)
    assert all(row.atoms[0].status == "ok" for row in rows)
    assert str(sam) in evaluator.info.judge


def test_what_it_cannot_answer_is_an_error_reply(dino: Path, pictures: list[Path]) -> None:
    lone = ChatRequest(messages=(Message.user("text alone\n[]"),))
    vague = ChatRequest(messages=(Message.user(pictures[0], "what is there?"),))
    replies = chat(dino).reply([lone, vague, ask(pictures[0])])
    assert ["empty" in str(replies[2].error), "JSON list" in str(replies[1].error)] == [True, True]
    assert replies[0].error is not None


def test_a_folder_of_another_model_is_refused(sam: Path, pictures: list[Path]) -> None:
    with pytest.raises(ModelError, match=r"of type 'sam'; grounding-dino or mm-grounding-dino is wanted"):
        chat(sam).reply([ask(pictures[0], "dog")])


def test_overlapping_boxes_of_a_label_count_once() -> None:
    boxes = [
        Box(label="dog", confidence=0.5, corners=(0, 0, 10, 10)),
        Box(label="dog", confidence=0.9, corners=(0, 0, 10, 9)),
        Box(label="dog", confidence=0.4, corners=(20, 0, 30, 10)),
    ]
    assert [box.confidence for box in apart(boxes, 0.5)] == [0.9, 0.4]
    assert len(apart(boxes, 0.95)) == 3

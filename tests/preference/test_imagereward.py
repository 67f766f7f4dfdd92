"""ImageReward on transformers' classes: the names of its tensors, its numbers, its 35 tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from selma_plugins.preference.blip import build
from selma_plugins.preference.blip_scorer import load_tokenizer
from selma_plugins.preference.imagereward import ImageReward
from selma_plugins.preference.options import ImageRewardOptions

from selma_core.errors import ModelError
from selma_core.testing import FakeContext, check_evaluator
from tests.preference import blip_official
from tests.preference.support import entry, items, observed

LONG = "a red cat and a blue dog play in the park near the old house by the sea"  # 57 tokens of single letters


def test_every_tensor_has_its_place_but_the_two_projections() -> None:
    state = blip_official.state_dict()
    model = build(state, "test")
    unused = [key for key in state if key.startswith(("blip.vision_proj", "blip.text_proj"))]
    assert len(unused) == 4
    # one tensor each, plus the constant that is none
    assert len(model.state_dict()) == len(state) - len(unused) - 1


def test_values_equal_the_official_blocks(reward_folder: Path) -> None:
    state = blip_official.state_dict()
    model = build(state, "test").eval()
    torch.manual_seed(0)
    pixels = torch.randn(3, 3, 32, 32)
    ids = torch.randint(0, len(blip_official.WORDS) + 2, (3, 35))
    mask = (torch.arange(35) < torch.tensor([[35], [9], [20]])).long()
    with torch.no_grad():
        raw = model(model.vision(pixel_values=pixels).last_hidden_state, ids, mask)
        expected = blip_official.reward(state, pixels, ids, mask)
    assert expected.std() > 1e-3
    torch.testing.assert_close((raw - 0.16717362830052426) / 1.0333394966054072, expected, atol=2e-6, rtol=1e-5)


def test_the_evaluator_stores_the_official_value(context: FakeContext, reward_folder: Path, tmp_path: Path) -> None:
    images = items(tmp_path, ["a red cat", LONG], images=1)
    _, rows = observed(ImageReward(ImageRewardOptions()), images, context)
    tokenizer = load_tokenizer(entry("t", reward_folder / "tokenizer"))
    scorer = ImageReward(ImageRewardOptions()).load(context)
    for item, row in zip(images, rows, strict=True):
        tokens = tokenizer(
            [item.prompt.text], padding="max_length", truncation=True, max_length=35, return_tensors="pt"
        )
        expected = blip_official.reward(
            blip_official.state_dict(), scorer.open(item.path)[None], tokens.input_ids, tokens.attention_mask
        )
        assert row.atoms[0].value == pytest.approx(float(expected), abs=2e-6)
        raw = row.atoms[0].data["raw"]
        assert (raw - 0.16717362830052426) / 1.0333394966054072 == pytest.approx(row.atoms[0].value, abs=1e-6)


def test_tokenizer_has_blips_tokens_at_its_end(reward_folder: Path) -> None:
    tokenizer = load_tokenizer(entry("t", reward_folder / "tokenizer"))
    assert tokenizer.convert_tokens_to_ids(["[DEC]", "[ENC]"]) == [
        len(blip_official.WORDS),
        len(blip_official.WORDS) + 1,
    ]
    assert tokenizer.convert_ids_to_tokens(tokenizer("ab").input_ids) == ["[CLS]", "a", "##b", "[SEP]"]


def test_a_prompt_beyond_35_tokens_is_cut_and_that_is_said_once(context: FakeContext, tmp_path: Path) -> None:
    images = items(tmp_path, ["a cat", LONG, LONG + " and more"], images=1)
    specs = observed(ImageReward(ImageRewardOptions()), images, context)[0]
    assert context.warnings == ["imagereward reads 35 tokens of a text: it cuts 2 of 3 prompts"]
    assert [spec["tokens"][0] > 35 for spec in specs.values()] == [False, True, True]
    same = items(tmp_path, [LONG], images=1)
    tail = next(item for item in images if item.prompt.id == "p2")
    a, b = (
        next(ImageReward(ImageRewardOptions()).observe([item], {item.prompt.id: {"text": text}}, context))
        for item, text in ((same[0], LONG), (same[0], tail.prompt.text))
    )
    assert a.atoms[0].value == b.atoms[0].value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("mlp.layers.7.bias"), "lacks 7.bias"),
        (lambda state: state.pop("blip.visual_encoder.blocks.1.norm1.weight"), "lacks encoder.layers.1"),
        (lambda state: state.update({"blip.visual_encoder.extra": torch.zeros(1)}), "unknown tensor extra"),
        (lambda state: state.update({"decoder.weight": torch.zeros(1)}), "it has a tensor decoder.weight"),
        (lambda state: state.pop("blip.visual_encoder.pos_embed"), "lacks embeddings.position_embedding"),
    ],
)
def test_a_wrong_checkpoint_is_refused_in_one_line(change: object, message: str) -> None:
    state = blip_official.state_dict()
    change(state)  # type: ignore[operator]
    with pytest.raises(ModelError, match=message) as error:
        build(state, "test")
    assert "\n" not in str(error.value)


def test_conformance(context: FakeContext, tmp_path: Path) -> None:
    images = items(tmp_path, ["a cat", "two dogs"])
    summary = check_evaluator(ImageReward, ImageRewardOptions(), items=images, workdir=tmp_path, context=context)
    assert (summary.metric, summary.n_images, summary.coverage, summary.scale) == ("imagereward", 4, 1.0, 1.0)
    assert set(summary.groups) == {"even", "odd"}


def test_a_folder_with_the_one_file_will_do(context: FakeContext, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    save_file(blip_official.state_dict(), folder / "any.safetensors")
    context.entries["models", "imagereward"] = entry("imagereward", folder)  # type: ignore[index]
    assert ImageReward(ImageRewardOptions()).load(context).limit == 35

"""`longalign` against its definition, on tiny CLIP models."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from selma_plugins.diffusion.embeddings import EmbeddingCache, warn_cut
from selma_plugins.encoders.chunked import ChunkedEncoder
from selma_plugins.encoders.clip import PipelineEncoder
from selma_plugins.encoders.longalign import LongAlignEncoder
from selma_plugins.encoders.options import ChunkedOptions, ClipOptions, LongAlignOptions
from selma_plugins.encoders.towers import Tower, _projected
from torch import Tensor

from selma_core.errors import UserError
from selma_core.testing import check_text_encoder
from tests.tiny_models import LENGTH

TEXT = "a red cat. two hats! a blue circle left of it; the very long square is there"
Tiny = Callable[[str], Any]


def encoder(**options: Any) -> LongAlignEncoder:
    return LongAlignEncoder(LongAlignOptions(**{"clip_len": 60, **options}))


def states(pipeline: Any, ids: list[int]) -> Tensor:
    """Last states of one list of ids, alone and unpadded."""
    with torch.no_grad():
        return pipeline.text_encoder(torch.tensor([ids])).last_hidden_state[0]  # type: ignore[no-any-return]


def words(pipeline: Any, text: str) -> list[int]:
    return pipeline.tokenizer(text, truncation=False)["input_ids"][1:-1]  # type: ignore[no-any-return]


def pad_star(pipeline: Any) -> Tensor:
    bos, eos = pipeline.tokenizer.bos_token_id, pipeline.tokenizer.eos_token_id
    return states(pipeline, [bos, *[eos] * (LENGTH - 1)])[-(LENGTH * 60 // 77) :].mean(0)


def defined(pipeline: Any, segments: list[str], length: int) -> Tensor:
    """Section by section from the recipe: [start] + words, cut; rows up to the end mark; `pad*` behind."""
    rows = []
    for segment in segments:
        ids = [pipeline.tokenizer.bos_token_id, *words(pipeline, segment)[: LENGTH - 2]]
        rows.append(states(pipeline, [*ids, pipeline.tokenizer.eos_token_id])[: len(ids)])
    real = torch.cat(rows)[:length]
    return torch.cat([real, pad_star(pipeline)[None].repeat(length - len(real), 1)])


def test_rows_order_and_padding_are_those_of_the_definition(tiny: Tiny) -> None:
    found = encoder().encode(tiny("sd"), [TEXT]).hidden[0]
    segments = ["a red cat.", "two hats!", "a blue circle left of it;", "the very long square is there"]
    assert torch.allclose(found, defined(tiny("sd"), segments, 60), atol=1e-5)
    assert not torch.allclose(found, defined(tiny("sd"), segments[::-1], 60), atol=1e-2)


def test_the_empty_prompt_is_one_start_mark_and_padding(tiny: Tiny) -> None:
    found = encoder().encode(tiny("sd"), [""])
    assert found.mask is None  # SD 1.x attends to padding
    assert torch.allclose(found.hidden[0], defined(tiny("sd"), [""], 60), atol=1e-5)
    zeros = encoder(pad="zeros").encode(tiny("sd"), [""]).hidden[0]
    assert not zeros[1:].any()
    assert zeros[0].any()


def test_batch_and_padding_width_change_nothing(tiny: Tiny) -> None:
    both = encoder().encode(tiny("sd"), ["a cat.", TEXT]).hidden
    alone = encoder().encode(tiny("sd"), ["a cat."]).hidden
    wider = encoder(clip_len=90).encode(tiny("sd"), [TEXT]).hidden
    assert torch.allclose(both[0], alone[0], atol=1e-5)
    assert torch.allclose(wider[0, :60], both[1], atol=1e-5)


def test_start_rows_are_equal_and_can_be_left_out(tiny: Tiny) -> None:
    pipeline = tiny("sd")
    one, two = (len(words(pipeline, text)) for text in ("a cat.", "two hats."))
    found = encoder().encode(pipeline, ["a cat. two hats."]).hidden[0]
    assert torch.allclose(found[0], found[one + 1], atol=1e-5)
    bare = encoder(keep_sot=False).encode(pipeline, ["a cat. two hats."]).hidden[0]
    assert torch.allclose(bare[one + 1 : one + 1 + two], found[one + 2 : one + 2 + two], atol=1e-5)
    ended = encoder(drop_eot=False).encode(pipeline, ["a cat. two hats."]).hidden[0]
    assert torch.allclose(ended[one + 2], found[0], atol=1e-5)
    assert not torch.allclose(ended[one + 1], found[0], atol=1e-2)


def test_longalign_02_two_encoders_have_two_paddings(tiny: Tiny) -> None:
    from tests.tiny_models import clip_encoder

    pipeline = tiny("sd")
    other = SimpleNamespace(
        tokenizer=pipeline.tokenizer, text_encoder=clip_encoder(pipeline.tokenizer, seed=9), unet=None, config={}
    )
    shared = encoder()
    first, second = (shared.encode(one, [""]).hidden[0, -1] for one in (pipeline, other))
    assert not torch.allclose(first, second, atol=1e-2)
    assert torch.allclose(first, pad_star(pipeline), atol=1e-5)
    assert torch.allclose(second, pad_star(other), atol=1e-5)


def test_longalign_03_what_is_cut_off_is_counted(tiny: Tiny) -> None:
    pipeline = tiny("sd")
    text = "a cat hat. " * 5  # 8 words and one start mark a sentence
    count = len(words(pipeline, "a cat hat."))
    (whole,) = encoder().usage(pipeline, [text])
    assert (whole.segments, whole.tokens, whole.dropped) == (5, 5 * count, 0)
    (cut,) = encoder(clip_len=2 * count + 5).usage(pipeline, [text])
    assert (cut.tokens, cut.dropped) == (2 * count + 2, 3 * count - 2)
    (long,) = encoder().usage(pipeline, ["a very long sentence without an end"])
    assert long.tokens == LENGTH - 2
    assert long.dropped > 0
    lines: list[str] = []
    warn_cut(pipeline, [text, "a cat"], lines.append, encoder(clip_len=2 * count + 5))
    assert len(lines) == 1
    assert f"1 of 2 prompts are cut: {3 * count - 2} tokens have no effect" in lines[0]


def test_longalign_04_there_is_one_kind_of_prompt(tiny: Tiny) -> None:
    """A text that is one sentence and its halves joined are the same rows: no second, pre-split input exists."""
    halves = encoder().encode(tiny("sd"), ["a red cat. two hats."]).hidden
    assert torch.allclose(halves[0], defined(tiny("sd"), ["a red cat.", "two hats."], 60), atol=1e-5)


class Letters:
    """A tokenizer as SDXL's second: it pads with a word."""

    bos_token_id, eos_token_id, pad_token_id, model_max_length = 1, 2, 0, LENGTH

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": [1, *["!ab".index(letter) and "!ab".index(letter) + 2 for letter in text], 2]}


def test_longalign_09_a_word_that_is_also_the_padding_keeps_its_row(tiny: Tiny) -> None:
    inner = tiny("sd").text_encoder
    pipeline = SimpleNamespace(tokenizer=Letters(), text_encoder=inner, unet=None, config={})
    found = encoder(clip_len=8, pad="zeros").encode(pipeline, ["a!!b"]).hidden[0]
    assert torch.allclose(found[:5], states(SimpleNamespace(text_encoder=inner), [1, 3, 0, 0, 4]), atol=1e-5)
    assert not found[5:].any()


def test_longalign_15_both_forms_of_output_are_read() -> None:
    vector = torch.ones(2, 4)
    new = SimpleNamespace(text_embeds=vector, last_hidden_state=torch.zeros(2, 3, 4))
    assert _projected(new) is vector
    assert _projected((vector, torch.zeros(2, 3, 4))) is vector
    assert _projected((torch.zeros(2, 3, 4),)) is None
    states = torch.ones(1, 3, 4)
    tower = Tower(tokenizer=None, encoder=None, limit=3, penultimate=True)
    assert tower._states(SimpleNamespace(hidden_states=(states, states * 2))) is states


@pytest.mark.parametrize("how", ["truncated", "first", "mean", "last"])
def test_sdxl_has_both_encoders_side_by_side_and_one_vector(tiny: Tiny, how: str) -> None:
    pipeline = tiny("sdxl")
    segments = ["a red cat.", "two hats."]
    found = encoder(pooled=how).encode(pipeline, [" ".join(segments), ""])
    first = len(words(pipeline, segments[0])) + 1
    with torch.no_grad():
        outs = [
            [
                part(torch.tensor([pipeline.tokenizer(text)["input_ids"]]), output_hidden_states=True)
                for part in (pipeline.text_encoder, pipeline.text_encoder_2)
            ]
            for text in segments
        ]
        whole = pipeline.text_encoder_2(
            torch.tensor([pipeline.tokenizer(" ".join(segments), truncation=True)["input_ids"]])
        ).text_embeds[0]
    expected = torch.cat([out.hidden_states[-2][0, :first] for out in outs[0]], dim=-1)
    assert torch.allclose(found.hidden[0, :first], expected, atol=1e-5)
    vectors = torch.cat([pair[1].text_embeds for pair in outs])
    wanted = {"truncated": whole, "first": vectors[0], "mean": vectors.mean(0), "last": vectors[1]}[how]
    assert found.pooled is not None
    assert torch.allclose(found.pooled[0], wanted, atol=1e-5)
    assert not found.hidden[1].any()  # the config says that the empty prompt is zero
    assert not found.pooled[1].any()


def test_fewer_tokens_than_the_model_reads(tiny: Tiny) -> None:
    pipeline = tiny("sd")
    plain, same = PipelineEncoder(ClipOptions()), PipelineEncoder(ClipOptions(max_tokens=LENGTH))
    assert torch.allclose(plain.encode(pipeline, [TEXT]).hidden, same.encode(pipeline, [TEXT]).hidden, atol=1e-5)
    short = PipelineEncoder(ClipOptions(max_tokens=8)).encode(pipeline, [TEXT, TEXT[:6] + "zzz"]).hidden
    eos = pipeline.tokenizer.eos_token_id
    ids = [pipeline.tokenizer.bos_token_id, *words(pipeline, TEXT)[:6], *[eos] * (LENGTH - 7)]
    assert torch.allclose(short[0], states(pipeline, ids), atol=1e-5)
    assert PipelineEncoder(ClipOptions(max_tokens=8)).usage(pipeline, [TEXT])[0].tokens == 6  # type: ignore[index]
    (use,) = encoder(max_tokens=8).usage(pipeline, ["a very long cat."])
    assert (use.tokens, use.segments) == (6, 1)
    with pytest.raises(UserError, match=f"max_tokens: {LENGTH + 1} is more than the {LENGTH}"):
        encoder(max_tokens=LENGTH + 1).encode(pipeline, ["a cat"])
    with pytest.raises(ValueError, match="must be at least 3"):
        ClipOptions(max_tokens=2)


def test_blocks_keep_their_marks(tiny: Tiny) -> None:
    pipeline = tiny("sd")
    chunked = ChunkedEncoder(ChunkedOptions(blocks=3))
    found = chunked.encode(pipeline, [TEXT[:32]]).hidden[0]
    ids, bos, eos = words(pipeline, TEXT[:32]), pipeline.tokenizer.bos_token_id, pipeline.tokenizer.eos_token_id
    room = LENGTH - 2
    assert room < len(ids) < 2 * room
    blocks = [[bos, *ids[start : start + room], eos] for start in range(0, 3 * room, room)]
    wanted = [states(pipeline, [*block, *[eos] * (LENGTH - len(block))]) for block in blocks]
    assert torch.allclose(found, torch.cat(wanted), atol=1e-5)
    (use,) = chunked.usage(pipeline, [TEXT])
    assert (use.segments, use.tokens, use.dropped) == (3, 3 * room, len(words(pipeline, TEXT)) - 3 * room)


def test_unequal_prompts_stack(tiny: Tiny) -> None:
    for one in (encoder(), ChunkedEncoder(ChunkedOptions()), PipelineEncoder(ClipOptions(max_tokens=9))):
        assert EmbeddingCache(one, tiny("sd")).batch(["a cat", TEXT, ""]).hidden.shape[0] == 3


@pytest.mark.parametrize("family", ["sd", "sdxl"])
@pytest.mark.parametrize(
    ("factory", "options"),
    [
        (LongAlignEncoder, LongAlignOptions()),
        (ChunkedEncoder, ChunkedOptions()),
        (PipelineEncoder, ClipOptions()),
        (PipelineEncoder, ClipOptions(max_tokens=9)),
    ],
)
def test_each_passes_the_conformance_kit(tiny: Tiny, family: str, factory: Any, options: Any) -> None:
    check_text_encoder(factory, options, pipeline=tiny(family))


def test_other_pipelines_are_refused_by_name(tiny: Tiny) -> None:
    with pytest.raises(UserError, match=r"needs the CLIP encoders of .* or SDXL; PixArtAlphaPipeline has"):
        encoder().encode(tiny("pixart"), ["a cat"])

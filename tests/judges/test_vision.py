"""The vision-language judges on tiny random models of the real classes."""

from __future__ import annotations

import math
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
import transformers
from PIL import Image

from selma_core.data import ChatRequest, Message
from selma_core.protocols import Attachable, ChatModel
from tests.judges.conftest import KINDS
from tests.judges.tiny import WORDS

TEXTS = ("is there a red circle", "a", "the square above a blue circle ?", "is a", "is there a", "a")
ONE_PICTURE = ("blip2_opt", "blip2_t5", "instructblip", "blip_vqa")
TEMPLATED = ("llava", "qwen3", "qwen25")
everyone = pytest.mark.parametrize("name", list(KINDS))


def ask(text: str, *images: Path, **fields: Any) -> ChatRequest:
    return ChatRequest(messages=(Message.user(*images, text),), **{"max_tokens": 6, "choices": ("yes", "no")} | fields)


def mixed(pictures: list[Path], **fields: Any) -> list[ChatRequest]:
    """Questions on three pictures in turn."""
    return [ask(text, pictures[i % 3], **fields) for i, text in enumerate(TEXTS)]


def same(first: list[Any], second: list[Any]) -> None:
    assert [(r.text, r.error, r.truncated) for r in first] == [(r.text, r.error, r.truncated) for r in second]
    for a, b in zip(first, second, strict=True):
        assert a.choice_logprobs == pytest.approx(b.choice_logprobs, abs=1e-3)


@everyone
def test_replies_depend_on_neither_batch_nor_order(judge: Any, pictures: list[Path], name: str) -> None:
    requests = mixed(pictures)
    alone = judge(name, batch_size=1).reply(requests)
    assert all(reply.error is None and len(reply.choice_logprobs) == 2 for reply in alone)
    same(judge(name, batch_size=4).reply(requests), alone)
    same(judge(name, batch_size=64).reply(requests[::-1])[::-1], alone)
    assert len({reply.choice_logprobs["yes"] for reply in alone}) == len(alone)


@everyone
def test_the_picture_counts(judge: Any, pictures: list[Path], name: str) -> None:
    replies = judge(name).reply([ask("is there a circle", picture) for picture in pictures])
    values = [reply.choice_logprobs["yes"] for reply in replies]
    assert min(abs(a - b) for i, a in enumerate(values) for b in values[:i]) > 1e-4


@everyone
def test_satisfies_the_protocols(judge: Any, folder: Any, name: str) -> None:
    model = judge(name)
    assert isinstance(model, ChatModel)
    assert isinstance(model, Attachable)
    assert model.identity == f"{KINDS[name][0].name}:{folder(name)}"


@everyone
def test_a_seed_decides_what_is_drawn(judge: Any, pictures: list[Path], name: str) -> None:
    state = torch.random.get_rng_state()
    requests = mixed(pictures, temperature=1.5, seed=7, max_tokens=12)
    first = judge(name, batch_size=4).reply(requests)
    same(judge(name, batch_size=1).reply(requests[::-1])[::-1], first)
    others = judge(name).reply([attrs.evolve(request, seed=8) for request in requests])
    assert [r.text for r in others] != [r.text for r in first]
    assert torch.equal(torch.random.get_rng_state(), state), "the program's own random stream is not touched"


@everyone
def test_length_and_stops_are_kept(judge: Any, pictures: list[Path], name: str) -> None:
    model = judge(name, batch_size=3)
    for limit in (1, 3):
        replies = model.reply(mixed(pictures, max_tokens=limit, temperature=1.0, seed=1))
        assert all(len(reply.text.split()) <= limit for reply in replies)
    for whole in model.reply(mixed(pictures)):
        words = whole.text.split()
        if len(words) > 1:
            (short,) = model.reply([attrs.evolve(mixed(pictures)[0], stop=(words[1],))])
            assert words[1] not in short.text.split()


@everyone
def test_a_picture_that_cannot_be_read_is_one_error_reply(
    judge: Any, pictures: list[Path], tmp_path: Path, name: str
) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    requests = [ask("a", pictures[0]), ask("a", tmp_path / "bad.png"), ask("a", tmp_path / "gone.png")]
    fine, bad, gone = judge(name).reply(requests)
    assert fine.error is None
    assert "bad.png is not an image" in bad.error
    assert "gone.png: No such file" in gone.error
    assert bad.choice_logprobs is None
    assert "\n" not in bad.error + gone.error


@pytest.mark.parametrize("name", ONE_PICTURE)
def test_text_alone_and_two_pictures_are_error_replies(judge: Any, pictures: list[Path], name: str) -> None:
    alone, two, fine = judge(name).reply([ask("a"), ask("a", *pictures[:2]), ask("a", pictures[0])])
    assert "about one image" in alone.error
    assert "about one image, not 2" in two.error
    assert fine.error is None


@pytest.mark.parametrize("name", TEMPLATED)
def test_text_alone_two_pictures_and_turns_are_answered(judge: Any, pictures: list[Path], name: str) -> None:
    system = Message(role="system", parts=Message.user("yes no").parts)
    turns = ChatRequest(messages=(system, *ask("a", pictures[0]).messages), max_tokens=4, choices=("yes", "no"))
    requests = [ask("a"), ask("a", *pictures[:2]), turns, ask("a", pictures[0])]
    replies = judge(name).reply(requests)
    assert [reply.error for reply in replies] == [None] * 4
    assert len({reply.choice_logprobs["yes"] for reply in replies}) == 4
    same(judge(name, batch_size=1).reply(requests), replies)


# --- the same numbers as transformers' own route ------------------------------------------------------------


def first_logprobs(logits: torch.Tensor) -> dict[str, float]:
    """By hand: the vocabulary has `yes`, `Yes` and `no`, and `a`, `is`, ... begin neither."""
    values = logits.float().log_softmax(-1).exp()
    mass = {"yes": values[WORDS.index("yes")] + values[WORDS.index("Yes")], "no": values[WORDS.index("no")]}
    return {word: math.log(value) for word, value in mass.items()}


@lru_cache(maxsize=1)
def whole(folder: Path, kind: str) -> tuple[Any, Any]:
    """(model, processor) as transformers loads them."""
    model = getattr(transformers, kind).from_pretrained(folder).eval()
    return model, transformers.AutoProcessor.from_pretrained(folder)


def by_transformers(folder: Path, kind: str, text: str, picture: Path, **settings: Any) -> tuple[str, dict[str, float]]:
    model, processor = whole(folder, kind)
    inputs = processor(images=Image.open(picture), text=text, return_tensors="pt")
    out = model.generate(
        **inputs, max_new_tokens=6, do_sample=False, return_dict_in_generate=True, output_logits=True, **settings
    )
    # where there is no encoder, it gives the prompt back too
    asked = 0 if model.config.is_encoder_decoder or "vqa" in str(folder) else inputs["input_ids"].shape[1]
    start = 0 if "t5" in str(folder) else asked
    text = processor.decode(out.sequences[0, start:], skip_special_tokens=True).strip()
    return text, first_logprobs(out.logits[0][0])


@pytest.mark.parametrize(
    ("name", "kind", "beams"),
    [
        ("blip2_opt", "Blip2ForConditionalGeneration", 1),
        ("blip2_opt", "Blip2ForConditionalGeneration", 3),
        ("blip2_t5", "Blip2ForConditionalGeneration", 1),
        ("blip2_t5", "Blip2ForConditionalGeneration", 3),
        ("instructblip", "InstructBlipForConditionalGeneration", 5),
        ("blip_vqa", "BlipForQuestionAnswering", 1),
        ("blip_vqa", "BlipForQuestionAnswering", 3),
    ],
)
def test_equals_the_models_own_generate(
    judge: Any, folder: Any, pictures: list[Path], name: str, kind: str, beams: int
) -> None:
    options = {"repetition_penalty": 1.0} if name == "instructblip" else {}
    found = judge(name, num_beams=beams, batch_size=4, **options).reply(mixed(pictures))
    for request, reply in zip(mixed(pictures), found, strict=True):
        picture = request.messages[0].parts[0].path  # type: ignore[union-attr]
        text, scores = by_transformers(folder(name), kind, request.messages[0].text, picture, num_beams=beams)
        assert reply.text == text
        assert reply.choice_logprobs == pytest.approx(scores, abs=1e-4)


def test_llava_equals_its_own_generate(judge: Any, folder: Any, pictures: list[Path]) -> None:
    for request, reply in zip(mixed(pictures), judge("llava", batch_size=4).reply(mixed(pictures)), strict=True):
        prompt = f"user: <image> {request.messages[0].text} bot:"
        picture = request.messages[0].parts[0].path  # type: ignore[union-attr]
        text, scores = by_transformers(folder("llava"), "LlavaForConditionalGeneration", prompt, picture)
        assert reply.text == text
        assert reply.choice_logprobs == pytest.approx(scores, abs=1e-4)


def test_t2i_compbench_probability(judge: Any, folder: Any, pictures: list[Path]) -> None:
    """P(yes) / (P(yes) + P(no)) at the first decoder token, from the two tokens alone."""
    (reply,) = judge("blip_vqa").reply([ask("a red circle ?", pictures[0])])
    model = transformers.BlipForQuestionAnswering.from_pretrained(folder("blip_vqa")).eval()
    processor = transformers.AutoProcessor.from_pretrained(folder("blip_vqa"))
    inputs = processor(images=Image.open(pictures[0]), text="a red circle ?", return_tensors="pt")
    out = model.generate(**inputs, max_new_tokens=1, return_dict_in_generate=True, output_logits=True)
    scores = out.logits[0][0].softmax(-1)
    yes, no = (scores[[i for i, word in enumerate(WORDS) if word.lower() == text]].sum() for text in ("yes", "no"))
    found = {choice: math.exp(value) for choice, value in reply.choice_logprobs.items()}
    assert found["yes"] / (found["yes"] + found["no"]) == pytest.approx(float(yes / (yes + no)), abs=1e-6)


def test_upstreams_decoding_is_instructblips_default(judge: Any) -> None:
    options = judge("instructblip")._options
    assert (options.num_beams, options.max_length, options.repetition_penalty) == (5, 256, 1.5)


def test_instructblip_never_writes_more_than_max_length(judge: Any, pictures: list[Path]) -> None:
    (reply,) = judge("instructblip", max_length=2, num_beams=1).reply([ask("a", pictures[0], max_tokens=50)])
    assert len(reply.text.split()) <= 2


@pytest.mark.parametrize("name", ONE_PICTURE)
def test_questions_on_one_picture_see_it_once(judge: Any, pictures: list[Path], name: str) -> None:
    model = judge(name, batch_size=2)
    model.reply(mixed(pictures)[:1])
    seen: list[int] = []
    model._loaded.model.vision_model.register_forward_hook(lambda *_: seen.append(1))
    model.reply([ask(text, picture) for text in TEXTS for picture in pictures])  # 18 questions, pictures in turn
    assert len(seen) == len(pictures)


@pytest.mark.parametrize("name", ["llava", "blip2_opt"])
def test_a_picture_may_change_between_calls(judge: Any, pictures: list[Path], tmp_path: Path, name: str) -> None:
    model = judge(name)
    shutil.copy(pictures[0], tmp_path / "a.png")
    (before,) = model.reply([ask("a", tmp_path / "a.png")])
    shutil.copy(pictures[2], tmp_path / "a.png")
    (after,) = model.reply([ask("a", tmp_path / "a.png")])
    assert before.choice_logprobs != after.choice_logprobs

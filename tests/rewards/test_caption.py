"""The caption reward, on fake captioners and on small random models of the real classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from selma_plugins.evaluation.rewards.caption import CaptionReward
from selma_plugins.evaluation.rewards.options import CaptionRewardOptions
from selma_plugins.judges.blip2 import Blip2Chat
from selma_plugins.judges.options import Blip2Options

from selma_core.data import Entry, Prompt
from selma_core.options import Slot
from selma_core.testing import FakeContext
from tests.judges import tiny
from tests.preference import support
from tests.rewards.kit import Chat, items, run
from tests.tifa.test_embedding import WORDS


def evaluator(**options: Any) -> CaptionReward:
    return CaptionReward(CaptionRewardOptions(**{"captioner": Slot("eye"), "similarity": "words"} | options))


def say(text: str | None) -> Chat:
    return Chat("eye", lambda stem, question: text)


def test_text_against_text() -> None:
    rows, values, _ = run(evaluator(), items(), eye=(eye := say("A dog beside 2 cats.")))
    assert values == [pytest.approx(1.0)]
    assert rows[0].atoms[0].raw == "A dog beside 2 cats."
    assert run(evaluator(), items(), eye=say("nothing like it"))[1] == [0.0]
    assert run(evaluator(), items(), eye=say("a dog"))[1] == [pytest.approx(2 / (2 * 5) ** 0.5)]
    assert eye.asked[0].messages[0].text == "", "a captioner that needs no words gets none"
    run(evaluator(instruction="Describe it."), items(), eye=(eye := say("a")))
    assert eye.asked[0].messages[0].text == "Describe it."


def test_each_image_meets_its_own_prompt_in_batches() -> None:
    prompts = [Prompt(id=f"p{i}", text=word) for i, word in enumerate(("red", "green", "blue"))]
    eye = Chat("eye", lambda stem, question: {"p0": "red", "p1": "green", "p2": "blue"}[stem[:2]])
    assert run(evaluator(batch=4), items(prompts, k=3), eye=eye)[1] == [1.0] * 9
    assert eye.calls == 3


@pytest.mark.parametrize("said", [None, "", "  "])
def test_no_caption_is_missing(said: str | None) -> None:
    rows, values, _ = run(evaluator(), items(), eye=say(said))
    assert values == [None]
    assert rows[0].atoms[0].status == "error"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Entry:
    folder = tmp_path_factory.mktemp("clip")
    support.clip_model(support.clip_tokenizer(folder)).save_pretrained(folder)
    return support.entry("clip", folder)


def with_models(evaluator: CaptionReward, images: Any, context: FakeContext) -> list[float | None]:
    specs = evaluator.prepare([images[0].prompt], context)
    rows = list(evaluator.observe(images, specs, context))
    return [evaluator.score(row.atoms, None, "cosine") for row in rows]


def test_finerewards_defect_11_a_long_caption_is_cut_and_counted(clip: Entry) -> None:
    """The released code raises above 77 tokens."""
    eye = Chat("eye", lambda stem, question: "a dog " * 100 if stem == "p-0" else "a dog")
    context = FakeContext(workdir=Path(), components={("chat_model", "eye"): eye}, entries={("models", "clip"): clip})
    one = evaluator(similarity="clip", model="clip")
    prompt = Prompt(id="p", text="a dog " * 9)
    values = with_models(one, items([prompt], k=2), context)
    assert all(value is not None and -1 <= value <= 1 for value in values)
    assert values[0] == pytest.approx(1.0, abs=1e-5), "both are cut to the same first tokens"
    assert values[1] is not None
    assert values[1] < 0.999
    assert context.warnings == [
        "caption_reward reads 16 tokens of a text: it cuts 1 of 1 prompts",
        "caption_reward reads 16 tokens of a text: it cut 1 of 2 captions",
    ]
    assert one.info.max_text_tokens == 16


def test_the_clip_similarity_is_the_cosine_of_its_text_features(clip: Entry) -> None:
    context = FakeContext(workdir=Path(), components={("chat_model", "eye"): say("a cat")})
    context.entries = {("models", "clip"): clip}
    (value,) = with_models(evaluator(similarity="clip", model="clip"), items([Prompt(id="p", text="dog")]), context)
    model = transformers.CLIPModel.from_pretrained(clip.path).eval()
    tokens = transformers.CLIPTokenizer.from_pretrained(clip.path)(["dog", "a cat"], padding=True, return_tensors="pt")
    with torch.no_grad():
        a, b = torch.nn.functional.normalize(model.get_text_features(**tokens).pooler_output, dim=-1)
    assert value == pytest.approx(float(a @ b), abs=1e-4)


def test_sentence_embeddings_by_a_transformers_folder(tmp_path: Path) -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    config = transformers.MPNetConfig(vocab_size=len(WORDS), max_position_embeddings=24, **sizes)
    transformers.MPNetModel(config).save_pretrained(tmp_path)
    transformers.MPNetTokenizer({word: i for i, word in enumerate(WORDS)}).save_pretrained(tmp_path)
    entry = support.entry("enc", tmp_path)
    context = FakeContext(workdir=tmp_path, components={("chat_model", "eye"): say("a surfer")})
    context.entries = {("models", "enc"): entry}
    one = evaluator(similarity="sentence", model="enc")
    assert with_models(one, items([Prompt(id="p", text="a surfer")]), context) == [pytest.approx(1.0, abs=1e-5)]
    (other,) = with_models(one, items([Prompt(id="p", text="beach " * 40)]), context)
    assert other is not None
    assert other < 1
    assert context.warnings == ["caption_reward reads 22 tokens of a text: it cuts 1 of 1 prompts"]


@pytest.mark.parametrize("maker", ["blip2_opt", "blip2_t5"])
def test_finerewards_defect_14_the_captioner_is_a_part_that_can_be_replaced(tmp_path: Path, maker: str) -> None:
    """BLIP-2's own class on small random weights, in the place of a pipeline of scripts and shared links."""
    torch.manual_seed(3)
    tiny.MAKERS[maker](tmp_path / "blip2")
    captioner = Blip2Chat(Blip2Options(model=str(tmp_path / "blip2")))
    prompt = Prompt(id="p", text="is there a red circle")
    images = support.items(tmp_path, [prompt.text], images=3)
    context = FakeContext(workdir=tmp_path, components={("chat_model", "eye"): captioner})
    one = evaluator(max_tokens=8)
    values = with_models(one, images, context)
    assert with_models(one, images[::-1], context) == values[::-1]
    assert one.info.judge == f"blip2:{tmp_path / 'blip2'}"
    assert any(value is not None for value in values)


def test_a_model_is_asked_for_before_anything_runs() -> None:
    assert [name for name, _ in CaptionRewardOptions(captioner=Slot("eye")).needs()] == ["model"]
    assert not list(CaptionRewardOptions(captioner=Slot("eye"), similarity="words").needs())

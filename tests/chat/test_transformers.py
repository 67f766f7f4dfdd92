"""The `transformers` chat model on a tiny random language model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from selma_plugins.chat.options import TransformersOptions
from selma_plugins.chat.sampling import Row, Sampler, pad_left
from selma_plugins.chat.transformers_chat import TransformersChat
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from selma_core.data import ChatRequest, Message
from selma_core.errors import ModelError
from selma_core.protocols import Attachable, ChatModel

WORDS = [
    "<pad>",
    "<s>",
    "</s>",
    "yes",
    "no",
    "red",
    "blue",
    "circle",
    "square",
    "above",
    "a",
    "1.",
    "2.",
    "user:",
    "bot:",
]
TEMPLATE = "{% for m in messages %}user: {{ m['content'] }} {% endfor %}{% if add_generation_prompt %}bot:{% endif %}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("llm")
    words = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<pad>"))
    words.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=0, initializer_range=0.3,
    )  # fmt: skip
    LlamaForCausalLM(config).eval().save_pretrained(path)
    return path


def chat(folder: Path, **options: Any) -> TransformersChat:
    return TransformersChat(TransformersOptions(model=str(folder), **options))


def ask(text: str, seed: int = 0, **fields: Any) -> ChatRequest:
    values = {"max_tokens": 12, "temperature": 1.0, "seed": seed}
    return ChatRequest(messages=(Message.user(text),), **(values | fields))


REQUESTS = [
    ask("1. a red circle 2.", 1),
    ask("yes", 2),
    ask("a blue square above a red", 3),
    ask("no no no", 4, max_tokens=3),
]


def test_satisfies_the_protocols(folder: Path) -> None:
    assert isinstance(chat(folder), ChatModel)
    assert isinstance(chat(folder), Attachable)
    assert chat(folder).identity == f"transformers:{folder}"


def test_replies_do_not_depend_on_the_batch(folder: Path) -> None:
    alone = chat(folder, batch_size=1).reply(REQUESTS)
    for size in (2, 3, 4):
        assert chat(folder, batch_size=size).reply(REQUESTS) == alone
    assert chat(folder, batch_size=4).reply(REQUESTS[::-1])[::-1] == alone
    assert len({reply.text for reply in alone}) > 2


def test_greedy_equals_generate(folder: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    wanted = []
    for request in REQUESTS:
        ids = tokenizer(request.messages[0].text, return_tensors="pt").input_ids
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=request.max_tokens, do_sample=False
        )
        wanted.append(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))
    greedy = [ask(r.messages[0].text, temperature=0.0, max_tokens=r.max_tokens) for r in REQUESTS]
    assert [reply.text for reply in chat(folder).reply(greedy)] == wanted


def test_seed_decides_and_length_is_bounded(folder: Path) -> None:
    model = chat(folder)
    first, again, other = model.reply([ask("a", 1), ask("a", 1), ask("a", 2)])
    assert first == again
    assert first != other
    (short,) = model.reply([ask("a", 1, max_tokens=1)])
    assert len(short.text.split()) <= 1


def test_truncated_says_whether_the_model_ended_by_itself(folder: Path) -> None:
    replies = chat(folder).reply([ask("a", seed, max_tokens=5) for seed in range(30)])
    lengths = [len(reply.text.split()) for reply in replies]
    assert any(reply.truncated for reply in replies)
    assert any(not reply.truncated for reply in replies)
    assert all(length < 5 for length, reply in zip(lengths, replies, strict=True) if not reply.truncated)


def test_a_stop_text_ends_the_reply(folder: Path) -> None:
    whole = chat(folder).reply([ask("a", seed) for seed in range(10)])
    stopped = chat(folder).reply([ask("a", seed, stop=("red", "circle")) for seed in range(10)])
    for long, short in zip(whole, stopped, strict=True):
        at = min((long.text.find(word) for word in ("red", "circle") if word in long.text), default=None)
        assert short.text.strip() == long.text[:at].strip()
        assert short.truncated == (at is None and long.truncated)
    assert any(short.text != long.text for long, short in zip(whole, stopped, strict=True))


def test_modes(folder: Path) -> None:
    plain = chat(folder, mode="completion")
    (wanted,) = plain.reply([ask("user: a red bot:")])
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.chat_template = TEMPLATE
    other = folder.parent / "with-template"
    LlamaForCausalLM.from_pretrained(folder).save_pretrained(other)
    tokenizer.save_pretrained(other)
    for mode in ("chat", "auto"):
        assert chat(other, mode=mode).reply([ask("a red")]) == [wanted]
    assert chat(other, mode="completion").reply([ask("user: a red bot:")]) == [wanted]


def test_choices_are_the_models_probabilities(folder: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(folder)
    ids = torch.tensor([[WORDS.index("a"), WORDS.index("red")]])
    logits = model(ids).logits[0, -1].log_softmax(-1).detach()
    (reply,) = chat(folder).reply([ask("a red", choices=("yes", "no"))])
    wanted = {word: float(logits[WORDS.index(word)]) for word in ("yes", "no")}
    assert reply.choice_logprobs == pytest.approx(wanted, abs=1e-5)


def test_too_long_and_images_are_error_replies(folder: Path, tmp_path: Path) -> None:
    picture = ChatRequest(messages=(Message.user("?", tmp_path / "a.png"),))
    long, fine, seeing = chat(folder).reply([ask("a " * 60), ask("a"), picture])
    assert long.error is not None
    assert "64 tokens" in long.error
    assert seeing.error is not None
    assert "no images" in seeing.error
    assert fine == chat(folder).reply([ask("a")])[0]


def test_a_missing_or_broken_model_is_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model at"):
        chat(tmp_path / "none").reply([ask("a")])
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError) as caught:
        chat(tmp_path).reply([ask("a")])
    assert "\n" not in str(caught.value)


def test_pickled_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save(LlamaForCausalLM.from_pretrained(folder).state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError):
        chat(tmp_path).reply([ask("a")])


def test_pads_on_the_left() -> None:
    ids, mask = pad_left([[5, 6, 7], [8]], pad=0, device="cpu")
    assert ids.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]


@pytest.mark.parametrize(("top_p", "top_k", "allowed"), [(1.0, 0, {0, 1, 2, 3}), (0.6, 0, {0, 1}), (1.0, 1, {0})])
def test_draws_only_what_top_p_and_top_k_leave(top_p: float, top_k: int, allowed: set[int]) -> None:
    sampler = Sampler(top_p=top_p, top_k=top_k, ends=frozenset())
    row = Row(prompt=[], limit=1, temperature=1.0, generator=torch.Generator().manual_seed(0))
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    drawn = [sampler.draw(logits, row) for _ in range(400)]
    assert set(drawn) == allowed
    if top_p == 1.0 and not top_k:
        assert drawn.count(0) / 400 == pytest.approx(0.5, abs=0.08)

"""The real SmolLM2-135M continues a list, through both local engines.

Needs the file: `selma models fetch smollm2_135m`, or its path in SELMA_TEST_GGUF.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from selma_plugins.chat.options import LlamaCppOptions, TransformersOptions
from selma_plugins.prompts.parser import parse_list

from selma_core.data import ChatRequest, Message
from selma_core.protocols import ChatModel

pytestmark = pytest.mark.slow
LIST = "A list of short image descriptions:\n\n1. a red apple on a table\n2. two dogs in the snow\n3. a man reading\n4."


def gguf() -> Path:
    """The model's file, or a skip."""
    if named := os.environ.get("SELMA_TEST_GGUF"):
        return Path(named)
    from selma_core.catalog import Catalog
    from selma_core.errors import ModelError
    from selma_core.registry import Registry

    try:
        found = Registry(Catalog.discover().registry_sources()).entry("models", "smollm2_135m").path
    except ModelError as error:
        pytest.skip(str(error))
    assert found is not None
    return found


def llama_cpp(path: Path) -> ChatModel:
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("needs selma[llama_cpp]")
    from selma_plugins.chat.llama_cpp_chat import LlamaCppChat

    return LlamaCppChat(LlamaCppOptions(model=str(path), mode="completion"))


def transformers(path: Path) -> ChatModel:
    if importlib.util.find_spec("gguf") is None:
        pytest.skip("needs selma[gguf]")
    from selma_plugins.chat.transformers_chat import TransformersChat

    return TransformersChat(TransformersOptions(model=str(path), mode="completion"))


def ask(seed: int, temperature: float = 0.7, max_tokens: int = 40) -> ChatRequest:
    return ChatRequest(messages=(Message.user(LIST),), max_tokens=max_tokens, temperature=temperature, seed=seed)


@pytest.mark.parametrize("engine", [llama_cpp, transformers])
def test_continues_a_few_shot_list(engine: Callable[[Path], ChatModel]) -> None:
    model = engine(gguf())
    replies = model.reply([ask(1), ask(2)])
    items = [parse_list(reply.text, first=4, truncated=reply.truncated) for reply in replies]
    assert all(len(found) >= 2 for found in items)
    assert all(2 <= len(item.split()) <= 30 for found in items for item in found[:2])
    assert items[0] != items[1]
    assert model.reply([ask(2)]) == replies[1:]


def test_both_engines_read_the_same_weights() -> None:
    """Greedy continuations begin alike; later words may differ, as llama.cpp computes on quantised weights."""
    first, second = (engine(gguf()).reply([ask(0, 0.0, 5)])[0].text for engine in (llama_cpp, transformers))
    assert first.split()[:2] == second.split()[:2]


def test_llama_cpp_chat_mode_gives_choice_logprobs() -> None:
    pytest.importorskip("xllamacpp", reason="pip install 'selma[llama-cpp]'")
    from selma_plugins.chat.llama_cpp_chat import LlamaCppChat

    model = LlamaCppChat(LlamaCppOptions(model=str(gguf()), mode="chat"))
    message = Message.user("Is the sky blue? Answer with yes or no only.")
    (reply,) = model.reply([ChatRequest(messages=(message,), max_tokens=1, choices=("yes", "no"))])
    assert reply.choice_logprobs is not None
    assert all(value < 0 for value in reply.choice_logprobs.values())


def test_llama_cpp_says_when_a_request_is_too_long() -> None:
    model = llama_cpp(gguf())
    (reply,) = model.reply([ChatRequest(messages=(Message.user("word " * 3000),))])
    assert reply.error is not None
    assert "context size" in reply.error

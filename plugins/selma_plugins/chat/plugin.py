"""The bundled chat models."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import ChatModelRecord
from selma_plugins.chat.options import LlamaCppOptions, OpenAIOptions, ScriptedOptions, TransformersOptions


@hookimpl
def selma_chat_models() -> Iterator[ChatModelRecord]:
    """Yields `openai`, `transformers`, `llama_cpp`, `scripted`."""
    yield ChatModelRecord(
        name="openai",
        summary="any server that speaks the OpenAI protocol (OpenAI, vLLM, llama.cpp, Ollama)",
        factory="selma_plugins.chat.openai_chat:OpenAIChat",
        options=OpenAIOptions,
        reference="https://platform.openai.com/docs/api-reference/chat",
    )
    yield ChatModelRecord(
        name="transformers",
        summary="a language model on this machine: folder, GGUF file, or hub id with its commit",
        factory="selma_plugins.chat.transformers_chat:TransformersChat",
        options=TransformersOptions,
    )
    yield ChatModelRecord(
        name="llama_cpp",
        summary="a GGUF language model run by llama.cpp; several times faster than transformers on a CPU",
        factory="selma_plugins.chat.llama_cpp_chat:LlamaCppChat",
        options=LlamaCppOptions,
        requires="llama-cpp",
        reference="https://github.com/ggml-org/llama.cpp",
    )
    yield ChatModelRecord(
        name="scripted",
        summary="fixed replies from a list, a mapping or a file; fails on demand; for tests",
        factory="selma_plugins.chat.scripted:Scripted",
        options=ScriptedOptions,
    )

"""Options of the chat models."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import urlsplit

import attrs

from selma_core.options import at_least, between, entry, option, positive

Mode = Literal["auto", "chat", "completion"]
OPENAI_URL = "https://api.openai.com/v1"
_DEFAULT_KEY = "OPENAI_API_KEY"
_SECRET_WORDS = ("key", "authorization", "password", "secret")


def _no_login(instance: Any, field: attrs.Attribute[Any], value: str) -> None:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a web address such as http://localhost:8000/v1")
    if parts.username or parts.password or parts.query:
        raise ValueError("must hold no user, password or query: name an environment variable in api_key_env")


def _no_secrets(instance: Any, field: attrs.Attribute[Any], value: dict[str, Any]) -> None:
    if any(word in name.lower() for name in value for word in _SECRET_WORDS):
        raise ValueError("must hold no secret: name an environment variable in api_key_env")


@attrs.frozen
class OpenAIOptions:
    """A server that speaks the OpenAI protocol: OpenAI, vLLM, llama.cpp, Ollama, ..."""

    model: str = option(help="the model's name on the server")
    base_url: str = option(OPENAI_URL, help="address up to and including /v1", check=_no_login)
    mode: Literal["chat", "completion"] = option("chat", help="chat/completions, or plain completions")
    top_p: float = option(1.0, help="nucleus sampling; 1 leaves it out", check=between(0, 1))
    constrain: bool = option(False, help="vLLM: a request with choices can be answered by one of them only")
    extra: dict[str, Any] = option(
        {}, help="further fields of the request; null removes a field (reasoning models)", check=_no_secrets
    )
    api_key_env: str = option(_DEFAULT_KEY, help="environment variable with the key", changes_results=False)
    concurrency: int = option(8, help="requests at once", changes_results=False, check=at_least(1))
    attempts: int = option(6, help="tries per request", changes_results=False, check=at_least(1))
    timeout: float = option(120.0, help="seconds without an answer", changes_results=False, check=positive)
    backoff: float = option(1.0, help="seconds before the second try", changes_results=False, check=at_least(0))
    max_wait: float = option(60.0, help="longest pause, seconds", changes_results=False, check=at_least(0))

    def key(self) -> str:
        """What the environment variable holds now; no instance keeps it."""
        return os.environ.get(self.api_key_env, "").strip()

    def needs(self) -> Iterator[tuple[str, str]]:
        """The key, unless the server is one's own and no variable was named for it."""
        own_server = self.base_url != OPENAI_URL and self.api_key_env == _DEFAULT_KEY
        if not own_server and not self.key():
            name = self.api_key_env
            yield "api_key_env", f"the environment variable {name} holds no key; type: export {name}=..."


@attrs.frozen
class TransformersOptions:
    """A causal language model on this machine, run by transformers."""

    model: str = entry("models", help="registry name, folder, GGUF file, or hub:owner/name@commit[/FILE.gguf]")
    gguf_file: str = option("", help="name of the GGUF file within a folder that holds several")
    mode: Mode = option("auto", help="chat template, plain continuation, or the template where there is one")
    top_p: float = option(1.0, help="nucleus sampling; 1 is off", check=between(0, 1))
    top_k: int = option(0, help="sample among the k likeliest tokens; 0 is off", check=at_least(0))
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = option(
        "auto", help="auto: float32 on a CPU, the model's own type elsewhere"
    )
    batch_size: int = option(8, help="requests at once", changes_results=False, check=at_least(1))


@attrs.frozen
class LlamaCppOptions:
    """A GGUF model on this machine, run by llama.cpp."""

    model: str = entry(
        "models", help="registry name, GGUF file, a folder that holds one, or hub:owner/name@commit/FILE.gguf"
    )
    mode: Mode = option("auto", help="chat template, plain continuation, or the template where there is one")
    top_p: float = option(1.0, help="nucleus sampling; 1 is off", check=between(0, 1))
    top_k: int = option(0, help="sample among the k likeliest tokens; 0 is off", check=at_least(0))
    context: int = option(2048, help="tokens of request and reply together", check=at_least(64))
    threads: int = option(0, help="0: the machine's choice", changes_results=False, check=at_least(0))


@attrs.frozen
class ScriptedOptions:
    """Fixed replies, for tests and dry runs."""

    replies: list[str] = option([], help="replies in order of the calls")
    answers: dict[str, str] = option({}, help="text found in the last turn -> reply; tried before `replies`")
    file: str = entry("files", "", help="a JSON file with such a list or mapping")
    fail: list[int] = option([], help="calls, counted from 0, that fail")
    repeat: bool = option(False, help="start over after the last reply")

"""Requests and replies of the OpenAI protocol as JSON. Pure functions."""

from __future__ import annotations

import base64
import io
import json
import secrets
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from selma_core.data import ChatReply, ChatRequest, ImagePart, Message, Part
from selma_plugins.chat.choices import from_openai
from selma_plugins.chat.continuation import as_text
from selma_plugins.chat.options import OpenAIOptions

PATHS = {"chat": "/chat/completions", "completion": "/completions"}
TOP_TOKENS = 20  # the most that OpenAI and vLLM return
TOP_TOKENS_COMPLETION = 5
_PLACE = f"image-{secrets.token_hex(16)}"  # no text holds it by chance
_PNG = b"\x89PNG"
_JPEG = b"\xff\xd8\xff"


def content(request: ChatRequest, options: OpenAIOptions) -> bytes:
    """One request as the bytes that are sent.

    Images are put in after the rest has been written as JSON: base64 needs no escaping, and looking for what does takes
    longer than all else together.

    Raises:
        ValueError: an image that cannot be read.
    """
    images: dict[bytes, Path] = {}

    def place(path: Path) -> str:
        mark = f"{_PLACE}-{len(images)}-"
        images[mark.encode()] = path
        return mark

    written = json.dumps(body(request, options, place)).encode()
    for mark, path in images.items():
        written = written.replace(mark, data_url(path), 1)
    return written


def body(request: ChatRequest, options: OpenAIOptions, url: Callable[[Path], str]) -> dict[str, Any]:
    """The JSON of one request; fields that `extra` sets to None are left out.

    The temperature is always sent: servers put the model's own in its place (vLLM reads it from the checkpoint).

    Args:
        url: what stands for an image.
    """
    fields: dict[str, Any] = {
        "model": options.model,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
    }
    if options.mode == "chat":
        fields["messages"] = [_turn(message, url) for message in request.messages]
    else:
        fields["prompt"] = as_text(request)
    if options.top_p < 1:
        fields["top_p"] = options.top_p
    if request.seed is not None:
        fields["seed"] = request.seed % 2**31  # servers take 32 bits with a sign
    if request.stop:
        fields["stop"] = list(request.stop)
    if request.choices and options.mode == "chat":
        fields |= {"logprobs": True, "top_logprobs": TOP_TOKENS}
    elif request.choices:
        fields["logprobs"] = TOP_TOKENS_COMPLETION
    if request.choices and options.constrain:
        fields["structured_outputs"] = {"choice": list(request.choices)}
    fields |= options.extra
    return {name: value for name, value in fields.items() if value is not None}


def parse(data: Any, request: ChatRequest) -> ChatReply:
    """The reply in a server's JSON.

    Raises:
        ValueError: the JSON is not a reply; one line that says what is missing.
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("choices"), list) or not data["choices"]:
        raise ValueError("the answer holds no choices")
    choice = data["choices"][0]
    text = choice.get("text") if "text" in choice else (choice.get("message") or {}).get("content")
    if not isinstance(text, str):
        raise ValueError(f"the answer holds no text (finish_reason {choice.get('finish_reason')!r})")
    return ChatReply(
        text=text,
        choice_logprobs=from_openai(choice, request.choices),
        truncated=choice.get("finish_reason") == "length",
    )


def error_line(data: Any) -> tuple[str, str]:
    """(code, message) of an error answer, whatever its form; empty strings where it says nothing."""
    found = data.get("error", data.get("detail", data)) if isinstance(data, Mapping) else data
    if isinstance(found, Mapping):
        code, message = found.get("code") or found.get("type") or "", found.get("message") or ""
        return str(code), " ".join(str(message).split())[:300]
    return "", " ".join(str(found or "").split())[:300]


def _turn(message: Message, url: Callable[[Path], str]) -> dict[str, Any]:
    if all(not isinstance(part, ImagePart) for part in message.parts):
        return {"role": message.role, "content": message.text}
    return {"role": message.role, "content": [_part(part, url) for part in message.parts]}


def _part(part: Part, url: Callable[[Path], str]) -> dict[str, Any]:
    if isinstance(part, ImagePart):
        return {"type": "image_url", "image_url": {"url": url(part.path)}}
    return {"type": "text", "text": part.text}


def data_url(path: Path) -> bytes:
    """An image file as a base64 data URL: PNG and JPEG as they are, other formats as PNG.

    Raises:
        ValueError: the file cannot be read, or is no image.
    """
    try:
        state = path.stat()
        return _data_url(path, state.st_mtime_ns, state.st_size)
    except OSError as error:  # also Pillow's, for what is no image
        raise ValueError(f"cannot read the image {path}: {error.strerror or 'not an image'}") from error


@lru_cache(maxsize=32)
def _data_url(path: Path, _changed: int, _size: int) -> bytes:
    """Kept for the next questions on the same image; they come one after the other."""
    data = path.read_bytes()
    kind = b"jpeg" if data.startswith(_JPEG) else b"png"
    if not data.startswith((_PNG, _JPEG)):
        data = _as_png(data)
    return b"data:image/" + kind + b";base64," + base64.b64encode(data)


def _as_png(data: bytes) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        image.convert("RGB").save(out, "PNG")
    return out.getvalue()

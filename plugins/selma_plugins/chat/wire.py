"""Requests and replies of the OpenAI protocol as JSON. Pure functions."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selma_core.data import ChatReply, ChatRequest, ImagePart, Message, Part
from selma_plugins.chat.choices import from_openai
from selma_plugins.chat.continuation import as_text
from selma_plugins.chat.options import OpenAIOptions

PATHS = {"chat": "/chat/completions", "completion": "/completions"}
TOP_TOKENS = 20  # the most that OpenAI and vLLM return
TOP_TOKENS_COMPLETION = 5
_PNG = b"\x89PNG"
_JPEG = b"\xff\xd8\xff"


def body(request: ChatRequest, options: OpenAIOptions) -> dict[str, Any]:
    """The JSON of one request; fields that `extra` sets to None are left out.

    The temperature is always sent: servers put the model's own in its place (vLLM reads it from the checkpoint).

    Raises:
        ValueError: an image that cannot be read.
    """
    fields: dict[str, Any] = {
        "model": options.model,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
    }
    if options.mode == "chat":
        fields["messages"] = [_turn(message) for message in request.messages]
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


def _turn(message: Message) -> dict[str, Any]:
    if all(not isinstance(part, ImagePart) for part in message.parts):
        return {"role": message.role, "content": message.text}
    return {"role": message.role, "content": [_part(part) for part in message.parts]}


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, ImagePart):
        return {"type": "image_url", "image_url": {"url": data_url(part.path)}}
    return {"type": "text", "text": part.text}


def data_url(path: Path) -> str:
    """An image file as a base64 data URL: PNG and JPEG as they are, other formats as PNG.

    Raises:
        ValueError: the file cannot be read, or is no image.
    """
    try:
        content = path.read_bytes()
        kind = "jpeg" if content.startswith(_JPEG) else "png"
        if not content.startswith((_PNG, _JPEG)):
            content = _as_png(content)
    except OSError as error:  # also Pillow's, for what is no image
        raise ValueError(f"cannot read the image {path}: {error.strerror or 'not an image'}") from error
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _as_png(content: bytes) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        image.convert("RGB").save(out, "PNG")
    return out.getvalue()

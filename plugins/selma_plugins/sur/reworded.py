"""The text encoder `reworded`: a chat model writes each prompt anew before another encoder reads it. A reference.

It is what SUR-adapter wants to do without: the complex prompt in the place of the simple one, with a language model for
every image. The image set keeps the simple prompt, so whatever judges the images judges them by that.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selma_core.artifacts.jsonl import Appender, repair
from selma_core.data import ChatRequest, Message
from selma_core.errors import StageError, UserError
from selma_core.protocols import ChatModel, Context, Counting, Embeddings, TextEncoder, TokenUse
from selma_plugins.sur.captions import first_line
from selma_plugins.sur.options import RewordedOptions

_RECORD = "reworded.jsonl"


class Reworded:
    """`selma_core.protocols.TextEncoder`; the empty prompt stays empty. Replies are kept in the stage's folder."""

    def __init__(self, options: RewordedOptions) -> None:
        self._options = options
        self._context: Context | None = None
        self._known: dict[str, str] = {"": ""}

    def attach(self, context: Context) -> None:
        """Keeps the context for chat model and encoder."""
        self._context = context

    def encode(self, pipeline: Any, prompts: Sequence[str]) -> Embeddings:
        """The embeddings of the prompts as they were written anew.

        Raises:
            StageError: the chat model gave no text for one of them.
        """
        return self._inner.encode(pipeline, self._texts(prompts))

    def usage(self, pipeline: Any, prompts: Sequence[str]) -> Sequence[TokenUse] | None:
        """Of the new texts; None when the encoder underneath cannot say. All prompts go to the chat model at once."""
        texts, inner = self._texts(prompts), self._inner
        return inner.usage(pipeline, texts) if isinstance(inner, Counting) else None

    @property
    def _inner(self) -> TextEncoder:
        found: TextEncoder = self._attached.component("text_encoder", self._options.encoder)
        return found

    @property
    def _attached(self) -> Context:
        if self._context is None:
            raise UserError("text encoder 'reworded' asks a chat model, which only a stage can give it")
        return self._context

    def _texts(self, prompts: Sequence[str]) -> list[str]:
        record = self._attached.workdir / _RECORD
        if len(self._known) == 1:
            self._known |= {row.take("prompt", str): row.take("text", str) for row in repair(record)}
        new = [text for text in dict.fromkeys(prompts) if text not in self._known]
        for start in range(0, len(new), self._options.batch_size):
            self._ask(new[start : start + self._options.batch_size], record)
        return [self._known[text] for text in prompts]

    def _ask(self, prompts: Sequence[str], record: Path) -> None:
        chat: ChatModel = self._attached.component("chat_model", self._options.chat)
        first = len(self._known) == 1
        replies = chat.reply([self._request(text) for text in prompts])
        with Appender(record) as out:
            for prompt, reply in zip(prompts, replies, strict=True):
                text = "" if reply.error else first_line(reply)
                if not text:
                    raise StageError(f"{chat.identity} wrote nothing for '{prompt}': {reply.error or 'an empty reply'}")
                self._known[prompt] = text
                out.add({"prompt": prompt, "text": text})
        if first:
            self._attached.warn(f"prompts are drawn as {chat.identity} words them, like '{self._known[prompts[0]]}'")

    def _request(self, prompt: str) -> ChatRequest:
        text = self._options.instruction.replace("{prompt}", prompt)
        return ChatRequest(messages=(Message.user(text),), max_tokens=self._options.max_tokens)

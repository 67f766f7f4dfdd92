"""From the prompts of images to those of the benchmark that asks about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

from selma_core.data import Prompt
from selma_core.errors import UnknownNameError, UserError


class _Texted(Protocol):
    @property
    def text(self) -> str: ...


Known = TypeVar("Known", bound=_Texted)


def known_prompt(prompt: Prompt, benchmark: Mapping[str, Known], name: str) -> Known:
    """The benchmark's own prompt of that id.

    Raises:
        UnknownNameError: the benchmark does not have it. UserError: it reads differently there.
    """
    if prompt.id not in benchmark:
        raise UnknownNameError(
            f"benchmark '{name}' ({len(benchmark)} prompts) has no prompt '{prompt.id}'; draw the images from "
            f"'use: benchmark_prompts, options: {{benchmark: {name}}}'"
        )
    found = benchmark[prompt.id]
    if found.text.strip() != prompt.text.strip():
        raise UserError(
            f"prompt '{prompt.id}' reads '{prompt.text[:60]}' but in benchmark '{name}' '{found.text[:60]}': "
            "images and questions are of different versions"
        )
    return found

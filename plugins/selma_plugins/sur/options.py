"""Options of SUR-adapter's plugins. Light: imported for listing and validation."""

from __future__ import annotations

from typing import Literal

import attrs

from selma_core.options import Slot, at_least, component, entry, option, positive

CAPTION = "Describe this picture in one short plain sentence, as a caption."


@attrs.frozen
class SurdOptions:
    """Options of `surd`."""

    folder: str = entry("folders", help="folder of images with metadata.jsonl: {file_name, text, prompt}")
    n: int | None = option(None, help="only the first n", check=attrs.validators.optional(at_least(1)))
    text: Literal["simple", "complex"] = option("simple", help="which of the two is the prompt's text; both are kept")
    clean_webui: bool = option(True, help="complex prompts without weights and networks: (masterpiece:1.2), <lora:x:1>")
    max_tokens: int = option(77, help="complex prompts keep the phrases that fit; 0 = all", check=at_least(0))
    skill: str = option("surd", help="label of the prompts")


@attrs.frozen
class SurdImagesOptions:
    """Options of `surd_images`."""

    folder: str = entry("folders", help="the folder that `surd` reads; pinned by its content")


@attrs.frozen
class CaptionPairsOptions:
    """Options of `caption_pairs`."""

    captioner: Slot = component("chat_model", Slot("openai"), help="who says what is in a picture; must see images")
    instruction: str = option(CAPTION, help="what the captioner is asked")
    max_tokens: int = option(48, help="longest caption", check=positive)
    batch_size: int = option(16, help="images per call", changes_results=False, check=positive)

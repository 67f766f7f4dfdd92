"""Options of the bundled text encoders."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from selma_core.options import at_least, entry, option, positive

Pooled = Literal["truncated", "first", "mean", "last"]

_POOLED = "SDXL's one vector: of the text cut at the limit, or of the segments: the first, their mean, the last"
_TOKENS = "tokens that the model's encoder reads at once, marks included; null = the tokenizer's own limit"


def _room(instance: Any, field: attrs.Attribute[Any], value: int | None) -> None:
    if value is not None and value < 3:
        raise ValueError(f"must be at least 3, for a start mark, a word and an end mark, not {value}")


@attrs.frozen
class ClipOptions:
    """Options of `clip`."""

    max_tokens: int | None = option(None, help=_TOKENS, check=_room)


@attrs.frozen
class ChunkedOptions:
    """Options of `chunked`."""

    blocks: int = option(4, help="blocks of every prompt, the last ones empty for short prompts", check=positive)
    pooled: Pooled = option("first", help=_POOLED)
    max_tokens: int | None = option(None, help=_TOKENS, check=_room)


@attrs.frozen
class LongAlignOptions:
    """Options of `longalign`; the defaults are the paper's, but for the splitter."""

    splitter: Literal["sentence", "official"] = option(
        "sentence", help="official: as released, which breaks decimals and abbreviations; for released weights"
    )
    keep_sot: bool = option(True, help="keep every segment's start mark; false: the first one's only")
    drop_eot: bool = option(True, help="drop every segment's end mark")
    pad: Literal["pad_star", "zeros"] = option("pad_star", help="what fills the rows behind the text")
    clip_len: int = option(240, help="rows of every prompt", check=positive)
    pooled: Pooled = option("truncated", help=_POOLED)
    max_tokens: int | None = option(None, help=_TOKENS, check=_room)
    # the T5 rows, whose adapter comes with the adapter that was trained with them
    t5: str | None = entry(
        "models",
        None,
        help="T5 whose adapted rows stand behind CLIP's (SD 1.x, SD 2), as t5_large; null = none",
        added=True,
    )
    t5_len: int = option(240, help="T5 rows of every prompt", check=at_least(2), added=True)
    t5_mask: bool = option(
        False, help="true: padding is kept from T5's words; false: as in the paper, for released weights", added=True
    )
    t5_hidden: int = option(896, help="width between the halves of a fresh adapter", check=positive, added=True)

"""Options of the preference models."""

from __future__ import annotations

from typing import Literal

import attrs

from selma_core.options import between, entry, option, positive

PickScoreRule = Literal["official", "cosine"]
ClipScoreRule = Literal["cosine", "x100", "clip_s"]
HpsRule = Literal["x100", "cosine"]
DenscoreRule = Literal[
    "official", "x100", "reweighted", "relevant", "irrelevant", "eta", "omega_0", "omega_0.3", "omega_0.5", "omega_1"
]
Split = Literal["official", "fixed"]

_RULE = "how the stored value becomes the score"
_BATCH = "images per forward pass on a GPU; a CPU takes them one by one"
_TOKENIZER = "folder or entry with the tokenizer"


@attrs.frozen(kw_only=True)
class PickScoreOptions:
    """Options of `pickscore`."""

    model: str = entry("models", "pickscore_v1", help="a CLIP model in transformers' form")
    tokenizer: str = entry("models", "clip_vit_h14", help=_TOKENIZER)
    rule: PickScoreRule = option("official", help=_RULE, changes_results=False)
    batch_size: int = option(16, help=_BATCH, changes_results=False, check=positive)


@attrs.frozen(kw_only=True)
class ClipScoreOptions:
    """Options of `clipscore`. Attributes: prefix = put before each prompt (Hessel et al. use "A photo depicts ")."""

    model: str = entry("models", "clip_vit_b32", help="a CLIP model in transformers' form")
    tokenizer: str = entry("models", "", help=f"{_TOKENIZER}; empty: the model's own")
    prefix: str = option("", help="text put before each prompt")
    rule: ClipScoreRule = option("cosine", help=_RULE, changes_results=False)
    batch_size: int = option(16, help=_BATCH, changes_results=False, check=positive)


@attrs.frozen(kw_only=True)
class _HpsOptions:
    """What both versions share. Attributes: antialias = as torchvision >= 0.17 resizes; before, it did not."""

    tokenizer: str = entry("models", "clip_vit_h14", help=_TOKENIZER)
    antialias: bool = option(True, help="shrink with antialiasing; false: as torchvision did before 0.17")
    rule: HpsRule = option("x100", help=_RULE, changes_results=False)
    batch_size: int = option(16, help=_BATCH, changes_results=False, check=positive)


@attrs.frozen(kw_only=True)
class Hps20Options(_HpsOptions):
    """Options of `hpsv2`: version 2.0."""

    model: str = entry("models", "hpsv2", help="HPSv2's open_clip checkpoint, or a CLIP folder")


@attrs.frozen(kw_only=True)
class Hps21Options(_HpsOptions):
    """Options of `hpsv21`: version 2.1."""

    model: str = entry("models", "hpsv21", help="HPSv2.1's open_clip checkpoint, or a CLIP folder")


@attrs.frozen(kw_only=True)
class ImageRewardOptions:
    """Options of `imagereward`."""

    model: str = entry("models", "imagereward", help="ImageReward's checkpoint")
    tokenizer: str = entry("models", "bert_base_uncased", help=_TOKENIZER)
    batch_size: int = option(16, help=_BATCH, changes_results=False, check=positive)


@attrs.frozen(kw_only=True)
class DenscoreOptions:
    """Options of `denscore`.

    Attributes:
        split: `official` splits as the released code does (at `.` and `?` only); `fixed` at `.`, `!`, `?`, `;` too.
        omega: weight of the text-irrelevant part in the stored value and in the reward, as LongAlign trains; the rule
            `official` is the plain mean cosine whatever it is.
        common: where the common direction is from. `stored`: from `reference`; else the one in the model's folder
            (`common_direction.safetensors`); else of the bundled texts. `batch`: for a reward only, of its prompts.
        reference: reference texts, one a line, or the `prompts.jsonl` of a prompts artifact.
    """

    model: str = entry("models", "denscore", help="a CLIP in transformers' form; empty: the one at the port scorer")
    tokenizer: str = entry("models", "clip_vit_h14", help=f"{_TOKENIZER}; empty: the model's own")
    split: Split = option("official", help="how the prompt is cut into sentences")
    omega: float = option(0.3, help="weight of the text-irrelevant part", check=between(0, 1))
    common: Literal["stored", "batch"] = option("stored", help="the common direction; batch: rewards only")
    reference: str = entry("files", "", help="texts, one a line, or prompts.jsonl; empty: the model's, or the bundled")
    rule: DenscoreRule = option("official", help=_RULE, changes_results=False)
    batch_size: int = option(16, help=_BATCH, changes_results=False, check=positive)

    def needed_ports(self) -> dict[str, str]:
        """A trained scorer, where no model is named."""
        return {} if self.model else {"scorer": "denscore's model is empty, so it is to be the one at that port"}

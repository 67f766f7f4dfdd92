"""Options of `caption_reward` and `segment_reward`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import attrs

from selma_core.options import Slot, at_least, component, entry, option, positive

Similarity = Literal["clip", "sentence", "words"]
Reading = Literal["tags", "segments"]
SegmentRule = Literal["auto", "precision", "recall", "area"]


@attrs.frozen(kw_only=True)
class CaptionRewardOptions:
    """Options of `caption_reward`.

    Attributes:
        captioner: any chat model that sees images.
        instruction: text sent with the image; empty for models that caption by themselves, like `blip2`.
        similarity: `clip` is the text tower of a CLIP (the paper: OpenAI's ViT-L/14 with the weights of HPS v1),
            `sentence` the mean-pooled states of a transformers text model, `words` the cosine of word counts, without
            a model. Numbers of two similarities or models are not comparable.
        model: of `clip` and `sentence`.
        tokenizer: of `clip`, where the model's folder has none.
    """

    captioner: Slot = component("chat_model", help="chat model that writes the captions")
    instruction: str = option("", help="text sent with the image; empty for models that caption by themselves")
    max_tokens: int = option(50, help="length limit of a caption", check=positive)
    similarity: Similarity = option("clip", help="clip: its text tower; sentence: a text model; words: word counts")
    model: str = entry("models", "", help="the CLIP, or the text model's folder")
    tokenizer: str = entry("models", "", help="folder or entry with the CLIP's tokenizer; empty: the model's own")
    batch: int = option(8, help="images per call to the captioner", changes_results=False, check=positive)

    def needs(self) -> Iterator[tuple[str, str]]:
        """A model, unless words are counted."""
        if self.similarity != "words" and not self.model:
            what = "clip_vit_l14, a CLIP" if self.similarity == "clip" else "the folder of a sentence encoder"
            yield "model", f"similarity: {self.similarity} needs one; name {what}, or set similarity: words"


@attrs.frozen(kw_only=True)
class SegmentRewardOptions:
    """Options of `segment_reward`.

    Attributes:
        reading: `tags`, as released: the tagger lists what is in the image; `segments`, as the paper says: the
            segmenter finds regions with labels. What it looks for are the tagger's tags, if there is one, and
            `categories`; with neither, the segmenter goes by labels of its own.
        tagger: chat model that sees images. segmenter: chat model that answers with segments in JSON, like
            `grounding_dino`. judge: chat model that reads text.
        recall: the judge also names objects of the prompt that are absent; each counts as a thing of the worst score.
        rule: `precision` (as released), `recall`, or `area` (precision weighted by area x confidence); `auto` is
            recall where it is asked for, else precision.
        temperature: of the judge; 0 = greedy. The released code had 0.7, so that its reward was noisy.
    """

    reading: Reading = option("tags", help="tags of a vision model, or segments of a detector")
    tagger: Slot = component("chat_model", Slot(), help="chat model that lists what is in an image")
    segmenter: Slot = component("chat_model", Slot(), help="chat model that answers with segments in JSON")
    categories: list[str] = option([], help="what the segmenter always looks for")
    judge: Slot = component("chat_model", help="chat model that rates the things, by text alone")
    recall: bool = option(False, help="count objects of the prompt that are absent, too")
    rule: SegmentRule = option("auto", help="auto: recall where asked for, else precision", changes_results=False)
    temperature: float = option(0.0, help="of the judge; 0 is greedy", check=at_least(0))
    max_tokens: int = option(512, help="length limit of a reply", check=positive)
    batch: int = option(8, help="images per call to a chat model", changes_results=False, check=positive)

    def __attrs_post_init__(self) -> None:
        if self.rule == "recall" and not self.recall:
            raise ValueError("rule: recall needs the judge to name what is absent; set recall: true")
        if self.rule == "area" and self.reading != "segments":
            raise ValueError("rule: area needs areas, which tags do not have; set reading: segments")

    def needs(self) -> Iterator[tuple[str, str]]:
        """Who looks at the image."""
        if self.reading == "tags" and not self.tagger.use:
            yield "tagger", "reading: tags needs a chat model that sees images; name one"
        if self.reading == "segments" and not self.segmenter.use:
            yield "segmenter", "reading: segments needs one; name grounding_dino or another that answers in JSON"

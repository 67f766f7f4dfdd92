"""The values that flow between core and plugins: frozen, plain, JSON-friendly. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

Json = None | bool | int | float | str | list[Any] | dict[str, Any]


# --- registry entries -------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Entry:
    """One registry entry, resolved.

    Attributes:
        section: `models`, `skills`, `benchmarks`, `recipes` or `ablations`.
        name: what recipes write.
        provider: the registry source it came from, or `path` / `hub` for models given directly.
        data: the entry's own fields.
        pin: what enters the fingerprint: a hub commit, a digest of files, or the hash of `data`.
        path: the folder or file it stands for, once known to be on this machine; None for a hub id.
    """

    section: str
    name: str
    provider: str
    data: Mapping[str, Any]
    pin: str
    path: Path | None = None


# --- prompts ----------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Prompt:
    """One prompt.

    Attributes:
        id: unique within its set and stable across runs; sample seeds derive from it.
        text: what the image generator reads.
        skill: the skill it belongs to, or "".
        meta: anything else, JSON only (the benchmark group, the request it came from, ...). `flip: false` tells
            trainers not to mirror its images.
    """

    id: str
    text: str
    skill: str = ""
    meta: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Rejected:
    """A candidate prompt that was not kept, and why.

    Attributes:
        text: the candidate.
        reason: a short fixed phrase, so that reasons can be counted ("rouge", "vocabulary", ...).
        detail: what exactly (the nearest prompt, the unknown words, ...).
    """

    text: str
    reason: str
    detail: str = ""


@attrs.frozen(kw_only=True)
class PromptBatch:
    """What one request to a prompt source gave. The unit of resume: it is stored whole or not at all."""

    accepted: tuple[Prompt, ...] = ()
    rejected: tuple[Rejected, ...] = ()


# --- chat -------------------------------------------------------------------------------------------------


@attrs.frozen
class TextPart:
    """A text part of a message."""

    text: str


@attrs.frozen
class ImagePart:
    """An image part of a message: a file on this machine (PNG or JPEG)."""

    path: Path


Part = TextPart | ImagePart


@attrs.frozen(kw_only=True)
class Message:
    """One turn: `role` is `system`, `user` or `assistant`."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[Part, ...]

    @classmethod
    def user(cls, *parts: str | Path) -> Message:
        """A user turn from texts and image paths, in order."""
        return cls(role="user", parts=tuple(TextPart(p) if isinstance(p, str) else ImagePart(p) for p in parts))

    @property
    def text(self) -> str:
        """All text parts, joined by newlines."""
        return "\n".join(part.text for part in self.parts if isinstance(part, TextPart))


@attrs.frozen(kw_only=True)
class ChatRequest:
    """One request to a chat model.

    Attributes:
        messages: the turns so far; the last is a user turn.
        max_tokens: upper limit of the reply.
        temperature: 0 means greedy.
        seed: for models that sample locally; servers get it as a hint.
        choices: if given, the reply's `choice_logprobs` should hold one natural-log probability per choice.
        stop: texts at which the reply ends; they are not part of it.
    """

    messages: tuple[Message, ...]
    max_tokens: int = 256
    temperature: float = 0.0
    seed: int | None = None
    choices: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class ChatReply:
    """A reply, or the reason why there is none.

    Attributes:
        text: the reply; "" when `error` is set.
        choice_logprobs: choice -> natural-log probability, when asked for and available.
        error: a failed call is missing data, never an answer; without secrets.
        truncated: the text was cut at `max_tokens`, so its end may be half a word.
    """

    text: str = ""
    choice_logprobs: Mapping[str, float] | None = None
    error: str | None = None
    truncated: bool = False


# --- images -----------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ImageRequest:
    """One image to draw.

    Attributes:
        prompt: the prompt.
        k: index of the sample for this prompt, from 0.
        seed: 63-bit seed derived from (run seed, prompt id, k); see `selma_core.seeds.sample_seed`.
    """

    prompt: Prompt
    k: int
    seed: int

    @property
    def file_name(self) -> str:
        """File name within the image set, safe on every file system."""
        safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in self.prompt.id)
        return f"{safe}-{self.k}.png"


@attrs.frozen(kw_only=True)
class ImageItem:
    """One stored image.

    Attributes:
        item_id: `{prompt_id}-{k}`, unique within its set.
        prompt: the ORIGINAL prompt, also when the generator saw a rewrite.
        path: the PNG file.
        sha256: of the file.
        k: sample index. seed: the seed it was drawn with.
        selection: why a selector kept it (JSON), empty for images that none chose.
    """

    item_id: str
    prompt: Prompt
    path: Path
    sha256: str
    k: int
    seed: int | None = None
    selection: Mapping[str, Any] = attrs.field(factory=dict)


# --- evaluation -------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Atom:
    """The smallest observation, cached and stored: one answered question, one similarity.

    Attributes:
        key: question id, clause, sentence index, or "score".
        value: 0/1, a probability, a similarity; None = not observed.
        raw: the judge's own words.
        status: "error" and "skipped" lower coverage, never the mean.
        data: parents, question, category, ... JSON only.
    """

    key: str
    value: float | None
    raw: str | None = None
    status: Literal["ok", "error", "skipped"] = "ok"
    data: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class ItemAtoms:
    """All observations of one image."""

    item_id: str
    prompt_id: str
    k: int
    atoms: tuple[Atom, ...]


@attrs.frozen(kw_only=True)
class MetricInfo:
    """What a metric's numbers mean.

    Attributes:
        name: what scores are stored under (`dsg`).
        version: of the metric's own definition.
        range: of one item's value (before the report multiplies by 100).
        rules: named pure scoring rules, the default first.
        judge: who observed (filled in by the evaluator from its options).
        scale: in words what a value is and where values usually lie ("exp(logit_scale) x cosine, about 18 to 24").
        max_text_tokens: where the model cuts the prompt; None when it reads all of it, or reads no text.
    """

    name: str
    version: str = "1"
    range: tuple[float | None, float | None] = (0.0, 1.0)
    higher_is_better: bool = True
    rules: tuple[str, ...] = ("official",)
    judge: str = ""
    scale: str = ""
    max_text_tokens: int | None = None


@attrs.frozen(kw_only=True)
class PromptScore:
    """The score of one prompt: the mean over its images, so that the prompt is the resampling unit.

    Attributes:
        value: in [0, 1] for bounded metrics; None when nothing was observed.
        per_image: one value per observed image.
        groups: names of the groups the prompt belongs to (benchmark category), may be empty.
        weight: its share in `Summary.mean`: 1 where prompts count alike, the number of observed questions where
            questions do.
    """

    prompt_id: str
    value: float | None
    per_image: tuple[float, ...] = ()
    groups: tuple[str, ...] = ()
    weight: float = 1.0


@attrs.frozen(kw_only=True)
class Summary:
    """A metric over a benchmark under one rule.

    Attributes:
        metric, rule, judge: together they name the number.
        mean: 0-100 for metrics with range [0, 1], else in the metric's own scale; None without data.
        prompts: one `PromptScore` each: what intervals and paired comparisons are computed from.
        groups: group name -> mean (same scale). categories: question category -> mean (same scale).
        n_prompts, n_images, n_atoms: observed. coverage: observed atoms / expected atoms.
        expected_images: how many images there should have been; 0 = as many as there are (the core fills it in).
        scale: what the prompts' values are multiplied by to give `mean`: 100 for range [0, 1], else 1.
        higher_is_better: as the metric's info says (the core fills it in).
        group_mean: whether `mean` is the mean of the groups' means, so that resampling must stay within the groups. A
            prompt then counts in the first of its groups.
    """

    metric: str
    rule: str
    judge: str
    mean: float | None
    prompts: tuple[PromptScore, ...]
    groups: Mapping[str, float] = attrs.field(factory=dict)
    categories: Mapping[str, float] = attrs.field(factory=dict)
    n_prompts: int = 0
    n_images: int = 0
    expected_images: int = 0
    n_atoms: int = 0
    coverage: float = 1.0
    scale: float = 100.0
    higher_is_better: bool = True
    group_mean: bool = False

"""What the chat models of `segment_reward` are asked, and how their JSON is read: strictly, or not at all.

The last line of every request is JSON, so that programs can stand in for models. A number is taken from where the
format has one and from nowhere else: not from list numbers, not from tags, not from prose.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

import attrs

TAGS = 'List the things that this image shows. Reply with JSON alone: {"tags": ["...", "..."]}'
SEGMENTS = (
    "Find each of these things in the image. Reply with JSON alone: "
    '{"segments": [{"label": "...", "area": share of the image, "confidence": 0 to 1}]}'
)
RATE = (
    "Below are a description of a picture and a list of things. Imagine the picture from its description. For each "
    "thing say how likely it is to appear: 3 = certain, 2 = it may, 1 = unlikely. "
)
RATE_ONLY = 'Reply with JSON alone: {"scores": {"thing": 3}}'
RATE_RECALL = (
    "Also name the objects of the description that the list lacks. "
    'Reply with JSON alone: {"scores": {"thing": 3}, "missing": ["..."]}'
)

WORST, UNKNOWN, BEST = 1, 2, 3
_FENCE = re.compile(r"\A```(?:json)?\s*\n(.*)\n```\Z", re.DOTALL)


@attrs.frozen(kw_only=True)
class Thing:
    """Something seen. Attributes: area = share of the image, confidence = in [0, 1]; both None for tags."""

    label: str
    area: float | None = None
    confidence: float | None = None

    def row(self) -> dict[str, Any]:
        """JSON: `label`, and the two numbers where there are any."""
        sizes = {"area": self.area, "confidence": self.confidence}
        return {"label": self.label} | {name: value for name, value in sizes.items() if value is not None}


@attrs.frozen(kw_only=True)
class Rating:
    """Attributes: scores = label -> 1, 2 or 3; missing = objects of the prompt that are not there."""

    scores: dict[str, int]
    missing: tuple[str, ...] = ()


def seeking(categories: Sequence[str]) -> str:
    """The request to a segmenter; without categories it goes by its own."""
    return f"{SEGMENTS}\n{json.dumps(list(categories), ensure_ascii=False)}"


def rating(prompt: str, things: Sequence[str], *, recall: bool) -> str:
    """The request to a judge."""
    data = {"description": prompt, "things": list(things)}
    return f"{RATE}{RATE_RECALL if recall else RATE_ONLY}\n{json.dumps(data, ensure_ascii=False)}"


def last_json(text: str) -> Any:
    """What the last line of a request holds.

    Raises:
        ValueError: it is no JSON.
    """
    lines = text.strip().splitlines()
    return json.loads(lines[-1] if lines else "")


def read_tags(reply: str) -> tuple[Thing, ...]:
    """Raises ValueError, with the reason, for anything but the format asked for; equal tags count once."""
    tags = _list(reply, "tags")
    if not all(isinstance(tag, str) for tag in tags):
        raise ValueError("a tag is no text")
    return tuple(Thing(label=tag) for tag in _once(tags))


def read_segments(reply: str) -> tuple[Thing, ...]:
    """Segments of one label become one thing: areas added (1 at most), the highest confidence.

    Raises:
        ValueError: anything but the format asked for.
    """
    found: dict[str, Thing] = {}
    for segment in _list(reply, "segments"):
        if not isinstance(segment, dict) or not isinstance(segment.get("label"), str):
            raise ValueError("a segment has no label")
        label = _plain(segment["label"])
        area, confidence = _share(segment, "area"), _share(segment, "confidence")
        if label:
            old = found.get(label, Thing(label=label, area=0.0, confidence=0.0))
            area = min(1.0, (old.area or 0.0) + area)
            found[label] = Thing(label=label, area=area, confidence=max(old.confidence or 0.0, confidence))
    return tuple(found.values())


def read_rating(reply: str, things: Sequence[str], *, recall: bool) -> Rating:
    """One score per thing: clamped to 1, 2, 3; a thing that the judge left out or gave no number is 2, unknown.

    Raises:
        ValueError: no JSON, no scores, or, with `recall`, no list of what is missing.
    """
    data = _object(reply)
    given = data.get("scores")
    if not isinstance(given, dict):
        raise ValueError("it holds no 'scores'")
    by_name = {_plain(str(name)): value for name, value in given.items()}
    scores = {thing: _score(by_name.get(_plain(thing))) for thing in things}
    if not recall:
        return Rating(scores=scores)
    missing = data.get("missing")
    if not isinstance(missing, list) or not all(isinstance(one, str) for one in missing):
        raise ValueError("it holds no list 'missing'")
    return Rating(scores=scores, missing=tuple(_once(missing)))


def _score(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return UNKNOWN
    return round(min(max(value, WORST), BEST))


def _object(reply: str) -> dict[str, Any]:
    text = reply.strip()
    fenced = _FENCE.match(text)
    try:
        data = json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    if not isinstance(data, dict):
        raise ValueError("it is no JSON object")
    return data


def _list(reply: str, key: str) -> list[Any]:
    found = _object(reply).get(key)
    if not isinstance(found, list):
        raise ValueError(f"it holds no list '{key}'")
    return found


def _share(segment: dict[str, Any], key: str) -> float:
    value = segment.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"the {key} of '{segment['label']}' is no number from 0 to 1")
    return float(value)


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _once(texts: Sequence[str]) -> list[str]:
    return [text for text in dict.fromkeys(_plain(text) for text in texts) if text]

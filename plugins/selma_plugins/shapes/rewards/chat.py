"""The three stand-ins as chat models, so that `caption_reward` and `segment_reward` run unchanged."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from selma_core.data import ChatReply, ChatRequest
from selma_core.seeds import derive_seed
from selma_plugins.evaluation.rewards.replies import BEST, UNKNOWN, WORST, last_json
from selma_plugins.shapes.options import EyesOptions, RaterOptions
from selma_plugins.shapes.perception import Seen, unit_area
from selma_plugins.shapes.reading import read
from selma_plugins.shapes.rewards.eyes import look, picture_of
from selma_plugins.shapes.scene import CANVAS
from selma_plugins.shapes.spec import Group
from selma_plugins.shapes.words import NUMBERS, PLURALS, article, listing

_FAR = 1.4  # how much farther along one axis than along the other two centres are for a relation to be said


class ShapesCaptioner:
    """Says how many of which colour and shape there are, and how two single objects stand; no sizes, no background."""

    identity = "shapes_captioner"

    def __init__(self, options: EyesOptions) -> None:
        self._options = options

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        """One caption per request; a request without a readable image is an error."""
        return [_reply(self.identity, request, self._caption) for request in requests]

    def _caption(self, request: ChatRequest) -> str:
        return caption(look(picture_of(request, self.identity), self.identity, self._options))


class ShapesSegmenter:
    """Answers with tags (`red circle`) and with segments, their areas and confidences; looks for nothing particular."""

    identity = "shapes_segmenter"

    def __init__(self, options: EyesOptions) -> None:
        self._options = options

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        """One JSON object per request; a request without a readable image is an error."""
        return [_reply(self.identity, request, self._segments) for request in requests]

    def _segments(self, request: ChatRequest) -> str:
        objects = look(picture_of(request, self.identity), self.identity, self._options)
        segments = [
            {"label": f"{one.color} {one.shape}", "area": round(_area(one), 4), "confidence": round(one.overlap, 3)}
            for one in objects
        ]
        tags = list(dict.fromkeys(segment["label"] for segment in segments))
        return json.dumps({"tags": tags, "segments": segments})


class ShapesRater:
    """Rates things by a prompt of the world: 3 when it names them so, 1 when not; and names what is absent."""

    identity = "shapes_rater"

    def __init__(self, options: RaterOptions) -> None:
        self._options = options

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        """One JSON object per request; a description that is none of the world's is an error."""
        return [_reply(self.identity, request, self._rate) for request in requests]

    def _rate(self, request: ChatRequest) -> str:
        asked = last_json(request.messages[-1].text)
        description, things = str(asked["description"]), [str(one) for one in asked["things"]]
        groups = read(description).groups
        scores = {thing: self._score(description, thing, groups) for thing in things}
        missing = [_name(group) for group in groups if not any(_fits(thing, group) for thing in things)]
        return json.dumps({"scores": scores, "missing": missing})

    def _score(self, description: str, thing: str, groups: Sequence[Group]) -> int:
        rng = Random(derive_seed("shapes-rater", description, thing))
        if rng.random() < self._options.unsure:
            return UNKNOWN
        return BEST if any(_fits(thing, group) for group in groups) else WORST


def caption(objects: Sequence[Seen]) -> str:
    """Groups in the order in which they are met from the left, and the relation of two single objects."""
    if not objects:
        return "an empty picture"
    ordered = sorted(objects, key=lambda one: one.cx)
    counts = Counter((one.color, one.shape) for one in ordered)
    if len(ordered) == len(counts) == 2:
        first, second = ordered
        where = _where(first, second)
        if where:
            return f"{article(f'{first.color} {first.shape}')} {where} {article(f'{second.color} {second.shape}')}"
    return listing([_counted(color, shape, count) for (color, shape), count in counts.items()])


def _counted(color: str, shape: str, count: int) -> str:
    if count == 1:
        return article(f"{color} {shape}")
    return f"{NUMBERS[count][0] if count in NUMBERS else count} {color} {PLURALS[shape]}"


def _where(left: Seen, right: Seen) -> str:
    dx, dy = right.cx - left.cx, right.cy - left.cy
    if dx > _FAR * abs(dy):
        return "left of"
    if abs(dy) > _FAR * dx:
        return "above" if dy > 0 else "below"
    return ""


def _reply(who: str, request: ChatRequest, answer: Callable[[ChatRequest], str]) -> ChatReply:
    try:
        return ChatReply(text=answer(request))
    except (OSError, ValueError, KeyError, TypeError) as error:
        return ChatReply(error=f"{who}: {' '.join(str(error).split()) or type(error).__name__}")


def _area(one: Seen) -> float:
    return min(1.0, unit_area(one.shape) * one.radius**2 / CANVAS**2)


def _fits(thing: Any, group: Group) -> bool:
    color, _, shape = str(thing).rpartition(" ")
    return shape == group.shape and (group.color is None or color in ("", group.color))


def _name(group: Group) -> str:
    return f"{group.color} {group.shape}" if group.color else group.shape

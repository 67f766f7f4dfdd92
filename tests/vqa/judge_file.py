"""A plugin file for whole runs: a judge that looks at pixels, and a generator of tiny pictures.

`$JUDGE_STOP` = "name:n" makes the process kill itself by SIGKILL at the n-th call of the judge of that name; every
answer is a line in `$JUDGE_LOG`.
"""

from __future__ import annotations

import hashlib
import math
import os
import signal

import attrs

from selma_core import hookimpl
from selma_core.data import ChatReply, ImagePart
from selma_core.options import option
from selma_core.records import ChatModelRecord, ImageGeneratorRecord

_calls = {}


@attrs.frozen(kw_only=True)
class JudgeOptions:
    name: str = option("", help="for $JUDGE_STOP")
    same: bool = option(False, help="say the same of every image")
    lost: float = option(0.0, help="share of the calls that fail")


class Judge:
    """All it says follows from the pixels it is shown and the question."""

    identity = "pixels"

    def __init__(self, options):
        self.options = options

    def reply(self, requests):
        name = self.options.name
        _calls[name] = _calls.get(name, 0) + 1
        if os.environ.get("JUDGE_STOP") == f"{name}:{_calls[name]}":
            os.kill(os.getpid(), signal.SIGKILL)
        return [self._one(request) for request in requests]

    def _one(self, request):
        with open(os.environ["JUDGE_LOG"], "a") as file:
            file.write(self.options.name + "\n")
        turn = request.messages[-1]
        images = [part.path.read_bytes() for part in turn.parts if isinstance(part, ImagePart)]
        chance = _chance(turn.text, *images)
        if chance < self.options.lost:
            return ChatReply(error="timed out")
        return self._same(request) if self.options.same else self._seen(request, chance)

    def _same(self, request):
        if request.choices:
            yes = request.choices[0] in ("Yes", "yes")
            return _weighed(request.choices, (0.6, 0.4) if yes else (0.3, 0.3))
        return ChatReply(text="tie" if "first, second or tie" in request.messages[-1].text else "yes")

    def _seen(self, request, chance):
        if request.choices:
            return _weighed(request.choices, (chance, (1 - chance) / 2))
        if "first, second or tie" in request.messages[-1].text:
            return ChatReply(text=("first", "second", "tie")[int(3 * chance)])
        return ChatReply(text="yes" if chance < 0.7 else "no")


def _weighed(choices, values):
    logs = {choice: math.log(max(value, 1e-9)) for choice, value in zip(choices, values, strict=True)}
    return ChatReply(text=choices[0], choice_logprobs=logs)


def _chance(*parts):
    data = b"".join(part if isinstance(part, bytes) else part.encode() for part in parts)
    return int(hashlib.sha256(data).hexdigest()[:8], 16) / 2**32


@attrs.frozen(kw_only=True)
class DotsOptions:
    k: int = option(1, help="per prompt")
    shade: int = option(0, help="blue")


class Dots:
    """Four coloured quarters, from the seed."""

    def __init__(self, options):
        self.options = options

    @property
    def images_per_prompt(self):
        return self.options.k

    def images(self, job):
        from PIL import Image

        for request in job.requests:
            image = Image.new("RGB", (8, 8))
            for quarter in range(4):
                colour = (request.seed // 7**quarter % 256, 60 * quarter, self.options.shade)
                image.paste(Image.new("RGB", (4, 4), colour), (quarter % 2 * 4, quarter // 2 * 4))
            yield request, image


@hookimpl
def selma_chat_models():
    yield ChatModelRecord(name="pixels", summary="looks", factory=f"{__name__}:Judge", options=JudgeOptions)


@hookimpl
def selma_image_generators():
    yield ImageGeneratorRecord(name="dots", summary="draws", factory=f"{__name__}:Dots", options=DotsOptions)

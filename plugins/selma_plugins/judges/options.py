"""Options of the judges."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any, Literal

import attrs

from selma_core.options import at_least, between, entry, option, positive

DType = Literal["auto", "float32", "float16", "bfloat16"]
_MODEL_HELP = "registry name, folder, or hub:owner/name@commit"
_DTYPE_HELP = "auto: float32 on a CPU, the model's own type elsewhere"
_RESERVED = frozenset({"images", "text", "return_tensors"})


def _not_reserved(instance: Any, field: attrs.Attribute[Any], value: dict[str, Any]) -> None:
    taken = sorted(_RESERVED & value.keys())
    if taken:
        raise ValueError(f"must not set {taken[0]}: it comes from the request")


@attrs.frozen(kw_only=True)
class VisionOptions:
    """What all vision-language models on this machine have."""

    model: str = entry("models", help=_MODEL_HELP)
    dtype: DType = option("auto", help=_DTYPE_HELP)
    batch_size: int = option(8, help="requests at once", changes_results=False, check=at_least(1))


@attrs.frozen(kw_only=True)
class ImageTextOptions(VisionOptions):
    """Any `AutoModelForImageTextToText` of transformers."""

    template: dict[str, Any] = option({}, help="variables of the chat template, such as enable_thinking")
    image: dict[str, Any] = option({}, help="arguments of the image processor, such as size", check=_not_reserved)


@attrs.frozen(kw_only=True)
class QwenVLOptions(VisionOptions):
    """Qwen-VL models."""

    min_pixels: int = option(0, help="smaller images are enlarged; 0: the model's own limit", check=at_least(0))
    max_pixels: int = option(0, help="larger images are shrunk; 0: the model's own limit", check=at_least(0))
    thinking: bool = option(False, help="let it think first; then the first token says nothing of the choices")


@attrs.frozen(kw_only=True)
class Blip2Options(VisionOptions):
    """BLIP-2 with an OPT or Flan-T5 language model."""

    num_beams: int = option(1, help="beams; 1 is greedy", check=at_least(1))
    length_penalty: float = option(1.0, help="above 0 favours longer answers among the beams")
    repetition_penalty: float = option(1.0, help="above 1 makes tokens that were said less likely", check=positive)


@attrs.frozen(kw_only=True)
class InstructBlipOptions(VisionOptions):
    """InstructBLIP; the defaults are the decoding of DSG's released code."""

    num_beams: int = option(5, help="beams; 1 is greedy", check=at_least(1))
    max_length: int = option(256, help="no reply is longer, whatever is asked for", check=at_least(1))
    length_penalty: float = option(1.0, help="above 0 favours longer answers among the beams")
    repetition_penalty: float = option(1.5, help="above 1 makes tokens that were said less likely", check=positive)


@attrs.frozen(kw_only=True)
class BlipVqaOptions(VisionOptions):
    """BLIP for visual question answering."""

    num_beams: int = option(1, help="beams; 1 is greedy", check=at_least(1))


@attrs.frozen(kw_only=True)
class GroundingDinoOptions:
    """Grounding DINO, with or without SAM after it. Attributes: threshold, overlap: as in FineRewards' notebook."""

    model: str = entry("models", help=f"Grounding DINO or MM Grounding DINO: {_MODEL_HELP}")
    sam: str = entry("models", "", help="a SAM that turns boxes into masks; empty: areas are those of the boxes")
    threshold: float = option(0.25, help="least confidence of a segment", check=between(0, 1))
    overlap: float = option(0.5, help="boxes of one label that overlap by more count once (IoU)", check=between(0, 1))
    dtype: DType = option("auto", help=_DTYPE_HELP)


@attrs.frozen(kw_only=True)
class JsonLinesOptions:
    """A judge in an interpreter of its own."""

    name: str = option(help="who answers, for tables: mplug_large")
    command: list[str] = option(help="program and arguments; started without a shell")
    timeout: float = option(300.0, help="seconds without an answer", changes_results=False, check=positive)
    start_timeout: float = option(900.0, help="seconds until the first answer", changes_results=False, check=positive)
    restarts: int = option(
        3, help="starts in a row without an answer before giving up", changes_results=False, check=at_least(0)
    )

    def needs(self) -> Iterator[tuple[str, str]]:
        """The program."""
        if not self.command:
            yield "command", "is empty; type: [/path/to/old-venv/bin/python, worker.py]"
        elif shutil.which(self.command[0]) is None:
            yield "command", f"there is no program '{self.command[0]}'; give its whole path"

"""What to evaluate, and the recipe that says so: prompts of a benchmark, images of a folder, evaluators."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from selma_core.benchmarks import READER, images_per_prompt
from selma_core.catalog import Catalog
from selma_core.config import Layers, Opened
from selma_core.config.problems import COMMAND_LINE
from selma_core.config.recipe import resolve
from selma_core.errors import ConfigError, UserError, did_you_mean
from selma_core.offers import Offer
from selma_core.options import info
from selma_core.registry import Registry

IMPORTER = "image_folder"
"""The image generator that takes images from a folder."""


@attrs.frozen(kw_only=True)
class Wanted:
    """What to evaluate.

    Attributes:
        images: the folder. benchmark: registry name or path. evaluators: names; none = the benchmark's own.
        judge: chat model of every evaluator that asks one, None = theirs.
        overrides: `rule=selma` (of the only evaluator), `dsg.rule=selma`, `images.k=4`.
        per_prompt: images that each prompt should have, None = what the benchmark says.
        strict: raise where an image is missing, before anything is judged.
    """

    images: Path
    benchmark: str
    evaluators: tuple[str, ...] = ()
    judge: str | None = None
    overrides: tuple[str, ...] = ()
    per_prompt: int | None = None
    strict: bool = False


def open_wanted(wanted: Wanted, catalog: Catalog, registry: Registry) -> Opened:
    """The recipe; what is wrong with its shape is left in `Opened.errors`.

    Raises:
        UserError: an unknown benchmark or one that is not on this machine, an unknown evaluator or none at all, a judge
            that nobody asks.
    """
    data = registry.entry("benchmarks", wanted.benchmark).data
    offers = _offers(wanted, data, catalog)
    layers = Layers()
    layers.add(_recipe(wanted, data, offers), COMMAND_LINE)
    overrides = [_placed(text, list(offers)) for text in wanted.overrides]
    recipe, shape = resolve(layers, overrides, name="evaluate", path=None)
    return Opened(catalog=catalog, registry=registry, recipe=recipe, errors=shape.errors, whole=shape.whole)


def _offers(wanted: Wanted, data: Mapping[str, Any], catalog: Catalog) -> dict[str, Offer]:
    """Stage label -> evaluator."""
    names = wanted.evaluators or ((str(data["evaluator"]),) if data.get("evaluator") else ())
    known = [offer.name for offer in catalog.offers("evaluator")]
    if not names:
        raise UserError(f"benchmark '{wanted.benchmark}' names no evaluator of its own; choose one: {', '.join(known)}")
    offers = {name.rpartition("/")[2]: catalog.find("evaluator", name) for name in names}
    if len(offers) < len(names):
        raise UserError(f"an evaluator is named twice: {', '.join(names)}")
    if wanted.judge is not None and not any("judge" in _fields(offer) for offer in offers.values()):
        raise UserError(f"none of the evaluators asks a judge: {', '.join(names)}; leave the judge out")
    return offers


def _recipe(wanted: Wanted, data: Mapping[str, Any], offers: Mapping[str, Offer]) -> dict[str, Any]:
    folder = wanted.images.expanduser().resolve()
    per_prompt = images_per_prompt(data) if wanted.per_prompt is None else wanted.per_prompt
    variant = re.sub(r"[\[\],{}\s/]+", "_", folder.name) or "images"
    stages: dict[str, Any] = {
        "prompts": {"kind": "prompt_source", "use": READER, "options": {"benchmark": wanted.benchmark}},
        "images": {
            "kind": "image_generator",
            "use": IMPORTER,
            "foreach": "folder",
            "from": {"prompts": "prompts"},
            "options": {"folder": str(folder), "k": per_prompt},
        },
    }
    for label, offer in offers.items():
        if label in stages:
            raise UserError(f"an evaluator called '{label}' cannot stand beside the stage of that name")
        slot = {"kind": "evaluator", "use": offer.qualified, "foreach": "folder", "from": {"images": "images"}}
        stages[label] = {**slot, "options": dict(_own_options(wanted, offer))}
    return {
        "summary": f"{folder.name} on {wanted.benchmark}",
        "axes": {"folder": [variant]},
        "stages": stages,
        "report": {"scores": list(offers)},
    }


def _own_options(wanted: Wanted, offer: Offer) -> Iterator[tuple[str, Any]]:
    """The benchmark for the option that wants one, the judge for the option that wants one."""
    for name, (entry, component) in _fields(offer).items():
        if entry == "benchmarks" and name == "benchmark":
            yield name, wanted.benchmark
        if component == "chat_model" and name == "judge" and wanted.judge is not None:
            yield name, {"use": wanted.judge}


def _fields(offer: Offer) -> dict[str, tuple[str | None, str | None]]:
    return {field.name: (info(field).entry, info(field).component) for field in attrs.fields(offer.record.options)}


def _placed(text: str, labels: Sequence[str]) -> str:
    """`rule=x` as an override of the recipe: of the stage it names, or of the only evaluator."""
    first = text.partition("=")[0].strip().partition(".")[0]
    stages = ["prompts", "images", *labels]
    if first in stages:
        rest = text.strip()[len(first) + 1 :]
        return f"stages.{first}.options.{rest}"
    if first == "runtime":
        return text
    if len(labels) > 1:
        raise ConfigError(f"'{text}': say of which stage, like {labels[0]}.{text}; {did_you_mean(first, stages)}")
    return f"stages.{labels[0]}.options.{text.strip()}"

"""A model card for an adapter, in the form of the Hugging Face hub: what it is, how it was made, what was measured."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from selma_core.adapters.card_text import body
from selma_core.adapters.measured import Measured, measurements
from selma_core.adapters.subject import Subject, ancestors, find_subject
from selma_core.catalog import Catalog
from selma_core.export.grid import one_line
from selma_core.store import Store, default_store

_HUB = re.compile(r"^[\w.-]+/[\w.-]+$")


def adapter_card(
    name: str,
    *,
    run: str | None = None,
    license: str = "",
    title: str = "",
    store: Path | None = None,
    plugins: Sequence[Path] = (),
) -> str:
    """The text of a README.md. Every number in it is computed from stored observations; what is not known is not said.

    Args:
        name: a LoRA file or folder, `RUN:STAGE` (`latest:merge`), a fingerprint; with `run` a stage.
        run: only this run's scores; None = all of the store's.
        license: its id on the hub, which only its owner can say.
        title: of the card; "" = the stage's or the file's name. store, plugins: as in `selma_core.run`.

    Raises:
        UserError: nothing of that name. ArtifactError: a file that is no LoRA.
    """
    opened = Store(store or default_store())
    subject = find_subject(name, opened, run)
    catalog = Catalog.discover(plugins)
    found = measurements(subject, opened, catalog, only_run=run is not None)
    line = list(ancestors(subject.fingerprint, opened)) if subject.fingerprint else []
    title = one_line(title) or subject.stage or subject.path.stem
    front = yaml.safe_dump(
        front_matter(subject, found, title, license), sort_keys=False, allow_unicode=True, width=1000
    )
    return f"---\n{front}---\n\n{body(subject, found, line, title, license)}"


def front_matter(subject: Subject, found: Sequence[Measured], title: str, license: str) -> dict[str, Any]:
    """The metadata that the hub reads; `base_model` only where the base is a model of the hub."""
    base = str(subject.said.get("base") or "")
    on_hub = bool(_HUB.match(base))
    results = [_result(one) for one in found if one.score["mean"] is not None]
    return {
        **({"license": license} if license else {}),
        **({"base_model": base, "base_model_relation": "adapter"} if on_hub else {}),
        "library_name": "diffusers",
        "pipeline_tag": "text-to-image",
        "tags": ["text-to-image", "diffusers", "lora", "selma"],
        "inference": on_hub,
        **({"model-index": [{"name": title, "results": results}]} if results else {}),
    }


def _result(one: Measured) -> dict[str, Any]:
    name = prompt_name(one)
    judged = f", judge {one.score['judge']}" if one.score["judge"] else ""
    low, high = one.score["low"], one.score["high"]
    return {
        "task": {"type": "text-to-image", "name": "text-to-image"},
        "dataset": {"type": re.sub(r"[^\w.-]+", "_", name).strip("_"), "name": name},
        "metrics": [
            {
                "type": one.metric,
                "value": one.score["mean"],
                "name": f"{one.metric}, rule {one.score['rule']}{judged}",
                **({} if low is None else {"args": {"interval_95": [low, high]}}),
            }
        ],
    }


def prompt_name(one: Measured) -> str:
    """What the prompts of a measurement are called: their stage, plugin and fingerprint."""
    if one.prompts is None:
        return "prompts that are not in the store"
    return f"{one.prompts.label} ({one.prompts.plugin}, {one.prompts.fingerprint[:12]})"

"""The sentences of a model card."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from selma_core.adapters.measured import Measured
from selma_core.adapters.subject import Subject, recipe_of
from selma_core.config.problems import COMMAND_LINE, split
from selma_core.export.grid import DASH, interval, number, p_value
from selma_core.export.markdown import escape_markdown
from selma_core.redaction import without_secrets
from selma_core.rounding import decimals
from selma_core.store.manifest import Manifest

_FACTS = ("method", "rank", "alpha", "prediction", "timesteps", "steps", "kept_step", "samples", "images", "seed")
_MERGED = ("strategy", "weights", "options", "dtype")
_READING = """\
Intervals are bootstrap intervals over prompts. The difference is paired: the same prompts and seeds, by the same judge,
with and without the adapter; p is of a sign-flip test over prompts, corrected for nothing. Coverage is the share of the
judge's answers that came. All numbers are of this one adapter: how training seeds differ is not in them."""
_LIMITS = """\
## Intended use and limits

For research on text-to-image models. The adapter changes how its base model follows prompts; it inherits that model's
licence, biases and failures, and adds no filter. What was not measured above is not known: other prompts, other judges,
other base models, safety. A score is that of its judge and rule; numbers of others are not comparable with it."""


def body(subject: Subject, found: Sequence[Measured], line: Sequence[Manifest], title: str, license: str) -> str:
    """The card below its front matter."""
    parts = [
        f"# {escape_markdown(title)}",
        _opening(subject, license),
        *_measured(found, bool(subject.fingerprint)),
        *_made(subject, line),
        *_loading(subject),
        _LIMITS,
        *_again(subject),
        *_hashes(subject),
    ]
    return "\n\n".join(parts) + "\n"


def _opening(subject: Subject, license: str) -> str:
    base = str(subject.said.get("base") or "")
    what = f"A LoRA adapter for `{base}`" if base else "A LoRA adapter; its file does not say for which base model"
    terms = "" if license else " Its owner has stated no licence."
    by = ", made with SELMA" if subject.fingerprint or subject.said else ""
    return f"{what}{by}.{terms}"


def _measured(found: Sequence[Measured], stored: bool) -> Iterator[str]:
    yield "## Measured"
    if not found:
        why = "the store holds no scores of images drawn with it" if stored else "no stage of the store made this file"
        yield f"This adapter was not measured: {why}."
        return
    head = ("metric", "with the adapter", "95 % interval", "without", "difference", "95 % interval", "p")
    titles = (*head, "prompts", "images", "coverage", "judge", "rule", "of")
    rows = [titles, ("---",) * len(titles), *(_row(one) for one in found)]
    yield "\n".join(f"| {' | '.join(row)} |" for row in rows)
    yield _READING


def _row(one: Measured) -> tuple[str, ...]:
    score, pair = one.score, one.difference or {}
    digits = decimals([score["mean"]])
    cells = (
        one.metric,
        number(score["mean"], digits),
        interval(score["low"], score["high"], digits),
        number((one.base or {}).get("mean"), digits),
        number(pair.get("difference"), digits, sign=True),
        interval(pair.get("low"), pair.get("high"), digits, sign=True),
        p_value(pair.get("p")),
        str(score["n_prompts"]),
        str(score["n_images"]),
        f"{100 * score['coverage']:.1f} %",
        score["judge"] or DASH,
        score["rule"] or DASH,
        one.stage,
    )
    return tuple(escape_markdown(cell) for cell in cells)


def _made(subject: Subject, line: Sequence[Manifest]) -> Iterator[str]:
    yield "## How it was made"
    facts = [(name, subject.said[name]) for name in (*_FACTS, *_MERGED) if subject.said.get(name) not in (None, "", {})]
    skills = subject.said.get("skills")
    if isinstance(skills, Mapping) and any(skills):
        facts.append(("skills", ", ".join(f"{name} ({count} images)" for name, count in skills.items())))
    if facts:
        yield _pairs([(name, escape_markdown(_flat(value))) for name, value in facts])
    if not line:
        yield "Nothing else is known: the stages that made it are not in the store that this card was written from."
        return
    yield "The stages that it came from, inputs first:"
    head = ["| stage | kind | plugin | set in the recipe | fingerprint |", "| --- | --- | --- | --- | --- |"]
    yield "\n".join([*head, *(_stage(one, subject.record) for one in line)])
    drawn = [one for one in line if one.kind == "image_generator"]
    if drawn:
        names = ", ".join(dict.fromkeys(one.plugin for one in drawn))
        yield f"The training images came from the stages above of kind `image_generator` ({names})."


def _stage(one: Manifest, record: Mapping[str, Any]) -> str:
    options = without_secrets(_options(_node(one, record), record))
    text = ", ".join(f"{name}: {_flat(value)}" for name, value in options.items()) or DASH
    axis = one.label.partition("[")[2].removesuffix("]")
    if axis and "," not in axis:  # `skill: {skill}` of a stage that runs once per skill
        text = re.sub(r"\{\w+\}", lambda _: axis, text)
    cells = (one.label, one.kind, f"{one.provider}/{one.plugin}", text, one.fingerprint[:12])
    return f"| {' | '.join(escape_markdown(cell) for cell in cells)} |"


def _node(one: Manifest, record: Mapping[str, Any]) -> str:
    """What a stage is called in the run: its manifest has the name that it was first made under."""
    named = (stage["id"] for stage in record.get("stages") or () if stage["fingerprint"] == one.fingerprint)
    return str(next(named, one.label))


def _options(node: str, record: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the recipe sets for a stage."""
    slot = (recipe_of(node, record).get("stages") or {}).get(node.rpartition(":")[2].partition("[")[0])
    options = slot.get("options") if isinstance(slot, Mapping) else None
    return options if isinstance(options, Mapping) else {}


def _loading(subject: Subject) -> Iterator[str]:
    base = str(subject.said.get("base") or "BASE_MODEL")
    yield "## Use it"
    if "/" not in base and base != "BASE_MODEL":
        yield f"`{base}` is a name of SELMA's registry; its folder is what `selma models show {base}` says."
    folder, file = "FOLDER_OR_REPOSITORY", subject.path.name if subject.path.is_file() else ""
    name = f', weight_name="{file}"' if file else ""
    yield "\n".join(
        [
            "```python",
            "from diffusers import DiffusionPipeline",
            "",
            f'pipe = DiffusionPipeline.from_pretrained("{base}")',
            f'pipe.load_lora_weights("{folder}"{name})',
            'image = pipe("a prompt").images[0]',
            "```",
        ]
    )


def _again(subject: Subject) -> Iterator[str]:
    record = subject.record
    if not record:
        return
    yield "## Make it again"
    if "ablation" in record:
        words = ["selma", "ablate", shlex.quote(str(record["ablation"]))]
    else:
        origins, config = record.get("origins") or {}, without_secrets(record.get("config") or {})
        over = [f"{path}={_value(config, path)}" for path, layer in origins.items() if layer == COMMAND_LINE]
        words = ["selma", "run", shlex.quote(str(record["recipe"])), *(f"-o {shlex.quote(text)}" for text in over)]
    version = (record.get("libraries") or {}).get("selma", "unknown")
    yield f"With SELMA {version} (run `{record['run']}`):"
    yield f"```console\n$ {' '.join(words)}\n```"


def _hashes(subject: Subject) -> Iterator[str]:
    rows = [("sha256 of the file", subject.sha256), ("fingerprint of its stage", subject.fingerprint)]
    rows += [("pin of the base model", str(subject.said.get("base_pin") or ""))]
    rows += [("sha256 of a merged file", str(parent)) for parent in subject.said.get("parents") or ()]
    known = [(name, f"`{value}`") for name, value in rows if value]
    if known:
        yield "## Fingerprints"
        yield _pairs(known)


def _pairs(rows: Sequence[tuple[str, str]]) -> str:
    """A table of names and values."""
    return "\n".join(["| what | value |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)])


def _value(config: Mapping[str, Any], path: str) -> str:
    found: Any = config
    for part in split(path):
        found = found.get(part, "") if isinstance(found, Mapping) else ""
    return _flat(found)


def _flat(value: Any) -> str:
    if isinstance(value, str):
        return value
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    return text.split("\n...", maxsplit=1)[0].strip()

"""The page's template, with its styles and its script inside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape


def render(values: Mapping[str, Any]) -> str:
    """The page. Values are escaped; only the one script, named by its hash, may run."""
    script = _joined("js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    own = {"style": Markup(_joined("css")), "script": Markup(script), "script_hash": f"sha256-{digest}"}
    return _environment().get_template("report.html.j2").render(own | dict(values))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("selma_core.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "duration": _duration, "size": _size, "breakable": _breakable}
    return environment


@cache
def _joined(folder: str) -> str:
    """All files of a folder of the templates, in the order of their names."""
    place = files("selma_core.report").joinpath("templates", folder)
    texts = sorted((file.name, file.read_text(encoding="utf-8")) for file in place.iterdir())
    return "\n".join(text for _, text in texts)


def _breakable(name: str) -> Markup:
    """A long name that may break after its underscores."""
    return Markup(escape(name).replace("_", Markup("_<wbr>")))


def _number(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _size(value: float | None) -> str:
    """Bytes, in the unit that reads well."""
    if value is None:
        return "–"
    return f"{value / 2**30:.1f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"

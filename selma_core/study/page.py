"""The raters' page: one HTML file, its images beside it, no server and no network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def page_html(study: str, pairs: Sequence[Mapping[str, str]], questions: Mapping[str, str]) -> str:
    """The page. Prompts reach it as data and are shown as text; only the one script named by its hash may run."""
    environment = Environment(
        loader=PackageLoader("selma_core.study"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    script = _read("study.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("study.html.j2").render(
        study=study,
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        style=Markup(_read("study.css")),
        questions=questions,
        data=_json({"study": study, "questions": list(questions), "pairs": list(pairs)}),
    )


def _json(value: Any) -> Markup:
    """JSON that no prompt can end early: inside a script element only `<` could."""
    text = json.dumps(value, ensure_ascii=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _read(name: str) -> str:
    return files("selma_core.study").joinpath(f"templates/{name}").read_text(encoding="utf-8")

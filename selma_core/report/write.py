"""Fills the template and writes the file."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from selma_core.report import settings
from selma_core.report.agreement import agreements
from selma_core.report.pictures import strips
from selma_core.report.scores import colours, score_tables
from selma_core.report.search import searches
from selma_core.report.skills import prompt_cards
from selma_core.report.source import ReportSource, baseline
from selma_core.report.training import curves
from selma_core.report.verdicts import missing, verdicts


def write_report(source: ReportSource, path: Path) -> Path:
    """Writes one HTML file that needs nothing but itself.

    Failed stages, absent scores and unreadable artifacts are said in words; the report still comes out.

    Raises:
        OSError: when the file cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("selma_core.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["duration"] = _duration
    text = environment.get_template("report.html.j2").render(**page(source))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def page(source: ReportSource) -> dict[str, Any]:
    """Everything the template shows."""
    notes: list[str] = []
    made = settings.manifests(source, notes)
    data = source.recipe.data
    return {
        "style": Markup(files("selma_core.report").joinpath("templates/style.css").read_text(encoding="utf-8")),
        "run_id": source.run_id,
        "recipe": source.recipe.name,
        "summary": str(data.get("summary") or ""),
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "seed": data.get("seed", 0),
        "seconds": float(source.result.get("seconds") or 0.0),
        "outcomes": settings.outcomes(source),
        "headline": source.headline,
        "declared": source.headline == source.report_settings.get("headline"),
        "baseline": baseline(source),
        "verdicts": verdicts(source),
        "missing": missing(source),
        "judged": "; ".join(source.judged_prompts()),
        "tables": score_tables(source),
        "agreements": agreements(source),
        "legend": {variant: colour for variant, colour in colours(source).items() if variant in source.summaries},
        "strips": strips(source, notes),
        "curves": curves(source, notes),
        "searches": searches(source, notes),
        "cards": prompt_cards(source, notes),
        "stages": settings.stage_rows(source, made),
        "failed": [(node.id, node.error or "") for node in source.nodes if node.outcome == "failed"],
        "warnings": settings.warnings(source),
        "config": settings.config_text(source),
        "payloads": {name: settings.payload_text(manifest) for name, manifest in made.items()},
        "versions": settings.versions(made),
        "command": source.command,
        "notes": list(dict.fromkeys(notes)),
    }


def _number(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"

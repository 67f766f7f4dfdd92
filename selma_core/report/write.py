"""Fills the template and writes the file, within a size."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from selma_core.report import settings
from selma_core.report.agreement import agreements
from selma_core.report.chosen import choices
from selma_core.report.claims import claims
from selma_core.report.costs import cost_plot, costs
from selma_core.report.gallery import Gallery, make_gallery
from selma_core.report.heat import heat_maps
from selma_core.report.rounds import trends
from selma_core.report.scores import colours, score_tables
from selma_core.report.search import searches
from selma_core.report.skills import prompt_cards
from selma_core.report.source import ReportSource, baseline
from selma_core.report.stage_boxes import stage_boxes
from selma_core.report.stage_graph import graph_figure
from selma_core.report.template import render
from selma_core.report.training import curves
from selma_core.report.verdicts import missing, scale_of, training_seeds, verdicts

LIMIT = 20_000_000
# What goes first when there is too much to say; everything is in the store all the same.
_SHED = ("payloads", "cards", "curves", "stages", "verdicts", "config")


def write_report(source: ReportSource, path: Path, *, limit: int = LIMIT) -> Path:
    """Writes one HTML file that needs nothing but itself.

    Failed stages, absent scores and unreadable artifacts are said in words; the report still comes out.

    Args:
        limit: bytes of the file. Images become smaller, then fewer, until it holds.

    Raises:
        OSError: when the file cannot be written.
    """
    notes: list[str] = []
    values = page(source, notes)
    bare = _shed(values, notes, limit // 2)
    # Notes of images that cannot be read come on top; they are cut to a few dozen lines.
    gallery = make_gallery(source, limit - bare - limit // 50, notes)
    values |= _gallery_values(source, gallery, limit) | {"notes": list(dict.fromkeys(notes))}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(values), encoding="utf-8")
    return path


def page(source: ReportSource, notes: list[str]) -> dict[str, Any]:
    """Everything the template shows but the judged images."""
    made = settings.manifests(source, notes)
    data = source.recipe.data
    colour = colours(source)
    prices = costs(source, made)
    boxes = stage_boxes(source)
    return {
        "run_id": source.run_id,
        "title": source.title[0],
        "recipe": source.recipe.name,
        "summary": source.title[1],
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "seeds": source.result.get("seeds") or [data.get("seed", 0)],
        "seconds": float(source.result.get("seconds") or 0.0),
        "outcomes": settings.outcomes(source),
        "headline": source.headline,
        "declared": source.headline == source.report_settings.get("headline"),
        "score_digits": 1 if scale_of(source, source.headline) == 100.0 else 3,
        "baseline": baseline(source),
        "claims": claims(source),
        "verdicts": verdicts(source),
        "training_seeds": training_seeds(source),
        "missing": missing(source),
        "cautions": settings.cautions(source),
        "judged": "; ".join(source.judged_prompts()),
        "tables": (tables := score_tables(source)),
        "heats": [heat for table in tables for heat in heat_maps(source, table.metric)],
        "agreements": agreements(source),
        "costs": prices,
        "cost_figure": cost_plot(prices, colour, baseline(source)) if prices else "",
        "curves": curves(source, notes),
        "searches": searches(source, notes),
        "trends": trends(source, notes),
        "choices": choices(source, notes),
        "cards": prompt_cards(source, notes),
        "boxes": boxes,
        "graph": graph_figure(boxes),
        "stages": settings.stage_rows(source, made),
        "node_count": len(source.nodes),
        "failed": [(node.id, node.error or "") for node in source.nodes if node.outcome == "failed"],
        "warnings": settings.warnings(source),
        "config": settings.config_text(source),
        "payloads": settings.payloads(made),
        "versions": settings.versions(made),
        "command": source.command,
    }


def _gallery_values(source: ReportSource, gallery: Gallery, limit: int) -> dict[str, Any]:
    return {
        "gallery": gallery,
        "gallery_data": gallery.data(colours(source), baseline(source)),
        "gallery_store": gallery.store(),
        "limit_mb": f"{limit / 1_000_000:g}",
    }


def _shed(values: dict[str, Any], notes: list[str], most: int) -> int:
    """Empties the bulkiest lists until the page without judged images takes at most so many bytes; its size."""
    empty = {"gallery": Gallery(), "gallery_data": "", "gallery_store": "", "limit_mb": ""}
    for name in (*_SHED, ""):
        size = len(render(values | empty | {"notes": notes}).encode())
        if size <= most or not name:
            break
        values[name] = type(values[name])()
        notes.append(f"the list of {name} is left out: it would take too much of this file; the store has it")
    return size

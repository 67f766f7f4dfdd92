"""Listing and showing the entries of one registry section."""

from __future__ import annotations

from typing import Any

from selma_core.cli.common import print_json, print_table
from selma_core.errors import UserError
from selma_core.registry import Registry


def print_entries(registry: Registry, section: str, json: bool) -> None:
    """All entries of a section with their one-line summaries; a damaged file is a line of the list, not its end."""
    rows = [_row(registry, section, f"{one.provider}/{one.name}") for one in registry.located(section)]
    if json:
        print_json({section: rows})
    else:
        print_table(("name", "provider", "summary"), [(row["name"], row["provider"], row["summary"]) for row in rows])


def _row(registry: Registry, section: str, qualified: str) -> dict[str, Any]:
    one = registry.find(section, qualified)
    try:
        summary, status = registry.summary(section, qualified), "ok"
    except UserError as error:
        summary, status = f"damaged: {error}", "damaged"
    return {"name": one.name, "provider": one.provider, "summary": summary, "status": status, "file": str(one.file)}


def to_yaml(data: Any) -> str:
    """Plain values as block YAML in the order they have; what `read_yaml` reads back equal."""
    import yaml

    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110))

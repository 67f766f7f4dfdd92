"""Downloading an entry of the registry with a bar on stderr."""

from __future__ import annotations

from selma_core.data import Entry
from selma_core.registry import Registry


def fetch_with_bar(registry: Registry, section: str, name: str) -> Entry:
    """The entry, with its files on this machine and verified.

    Raises:
        ModelError: with the reason of every source that failed; nothing broken is kept.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(f"fetching {name}", total=None)
        return registry.fetch(section, name, lambda done, total: bars.update(task, completed=done, total=total or None))

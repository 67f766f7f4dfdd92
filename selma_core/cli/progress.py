"""Progress of a run on stderr: a bar per running stage, and one for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from selma_core.events import Event, RunStarted, Scored, StageFinished, StageProgress, StageStarted, StageWarning
from selma_core.rounding import decimals

_COLOURS = {"ran": "green", "reused": "cyan", "failed": "red"}


class RunProgress:
    """Draws the events of a run. Used as a context manager; plain lines when stderr is no terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._all: TaskID | None = None

    def __call__(self, event: Event) -> None:
        """Shows one event."""
        if isinstance(event, RunStarted):
            todo = sum(status in ("run", "suspect") for status in event.nodes.values())
            self._line(f"[bold]{escape(event.recipe)}[/]: {len(event.nodes)} stages, {todo} to run ({event.run_id})")
            self._all = self._bars.add_task("[bold]all stages", total=len(event.nodes), note="")
        elif isinstance(event, StageStarted):
            self._tasks[event.node] = self._bars.add_task(escape(event.node), total=None, note="")
        elif isinstance(event, StageProgress):
            self._progress(event)
        elif isinstance(event, StageWarning):
            self._line(f"[yellow]{escape(event.node)}: {escape(event.message)}")
        elif isinstance(event, StageFinished):
            self._finished(event)
        elif isinstance(event, Scored):
            mean = "no data" if event.mean is None else f"{event.mean:.{decimals([event.mean])}f}"
            self._line(f"[bold] score[/] {escape(event.variant)}: {escape(event.metric)} {mean}")

    def __enter__(self) -> RunProgress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def _progress(self, event: StageProgress) -> None:
        if event.node in self._tasks:
            self._bars.update(
                self._tasks[event.node], completed=event.done, total=event.total or None, note=escape(event.note)
            )

    def _finished(self, event: StageFinished) -> None:
        if event.node in self._tasks:
            self._bars.remove_task(self._tasks.pop(event.node))
        if self._all is not None:
            self._bars.advance(self._all)
        if event.outcome != "reused":  # what was in the store is counted, not listed
            colour = _COLOURS[event.outcome]
            self._line(
                f"[{colour}]{event.outcome:>6}[/] {escape(event.node)} [dim]{event.plugin} {event.seconds:.1f} s"
            )
        if event.error:
            self._line(f"[red]error[/]  {escape(event.error)}")

    def _line(self, text: str) -> None:
        self._bars.console.print(text, highlight=False, soft_wrap=True)


@contextmanager
def bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """One bar on stderr for work outside of a run; gives what is called with (done, total). Silent in a pipe."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)

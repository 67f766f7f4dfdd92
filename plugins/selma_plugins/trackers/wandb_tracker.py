"""The tracker `wandb`: Weights & Biases runs, written to a folder (offline) or sent (online)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb

from selma_core.errors import UserError
from selma_plugins.trackers.folders import local_folder
from selma_plugins.trackers.journal import Journal
from selma_plugins.trackers.options import WandbOptions
from selma_plugins.trackers.page import Head, Page, Sheet


class WandbTracker:
    """Offline it sends nothing: no usage statistics, no error reports, no hardware metrics, no code, no git state."""

    def __init__(self, options: WandbOptions) -> None:
        self._options = options
        self._journal = Journal(self._open)
        if options.mode == "offline":
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        elif not wandb.login(prompt=False, verify=False):
            raise UserError("tracker 'wandb', mode online: there is no API key; type: wandb login")

    def on_event(self, event: Any) -> None:
        """One event."""
        self._journal(event)

    def _open(self, head: Head) -> Page:
        options = self._options
        run = wandb.init(
            project=options.project,
            entity=options.entity or None,
            dir=str(local_folder(options.folder, head.store)),
            name=head.title,
            group=head.run_id if head.kind != "run" else None,
            job_type=head.kind,
            config=dict(head.settings),
            reinit="create_new",  # other runs of this process, and those of the caller, go on beside it
            settings=_settings(options),
        )
        page = WandbPage(run)
        page.tags(head.tags)
        return page


class WandbPage:
    """One Weights & Biases run; what has one value is in its summary."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def tags(self, values: Mapping[str, str]) -> None:
        """Into the summary: W&B's own tags are a set of labels without values."""
        self._run.summary.update(dict(values))

    def metrics(self, values: Mapping[str, float]) -> None:
        """Into the summary."""
        self._run.summary.update(dict(values))

    def curve(self, name: str, rows: Sequence[Mapping[str, float]]) -> None:
        """`expert/count/loss` over `expert/count/step`."""
        step = f"{name}/step"
        self._run.define_metric(step)
        for key in {key: None for row in rows for key in row if key != "step"}:
            self._run.define_metric(f"{name}/{key}", step_metric=step)
        for row in rows:
            self._run.log({f"{name}/{key}": value for key, value in row.items()})

    def text(self, name: str, text: str) -> None:
        """A file of the run."""
        place = Path(self._run.dir) / name
        place.write_text(text, encoding="utf-8")
        self._run.save(str(place), base_path=self._run.dir, policy="now")

    def file(self, path: Path) -> None:
        """A file of the run; a page is shown as a panel too."""
        if path.suffix == ".html":
            self._run.log(
                {path.stem: wandb.Html(path.read_text(encoding="utf-8"), inject=False, data_is_not_path=True)}
            )
        else:
            self._run.save(str(path), base_path=str(path.parent), policy="now")

    def sheet(self, sheet: Sheet) -> None:
        """A table."""
        table = wandb.Table(columns=list(sheet.columns), data=[list(row) for row in sheet.rows])
        self._run.log({sheet.name: table})

    def close(self, ok: bool) -> None:
        """Ends the run."""
        self._run.finish(exit_code=0 if ok else 1)


def _settings(options: WandbOptions) -> Any:
    return wandb.Settings(
        mode=options.mode,
        console="off",
        silent=True,
        save_code=False,
        disable_code=True,
        disable_git=True,
        x_disable_stats=True,
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )

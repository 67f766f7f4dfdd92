"""What `selma evaluate --out` writes: the numbers, the report, and every observation."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from selma_core.artifacts.scores import ATOMS, INFO, SPECS, VALUES
from selma_core.errors import UserError
from selma_core.files import make_folder, write_bytes, write_json

if TYPE_CHECKING:
    from selma_core.evaluating.folder import Evaluation


def check_out(out: Path | None, images: Path) -> None:
    """Refuses to write results into the folder of images, which is pinned by its content.

    Raises:
        UserError: `out` is in it.
    """
    if out is None:
        return
    inner, outer = out.expanduser().resolve(), images.expanduser().resolve()
    if inner == outer or outer in inner.parents:
        raise UserError(f"--out {out} lies in the folder of images, which would change by it; choose another folder")


def write_evaluation(found: Evaluation, out: Path) -> None:
    """`scores.json`, `report.html`, and per evaluator a folder with its atoms, specs, values and info.

    Raises:
        StoreError: the folder cannot be written.
    """
    out = make_folder(out.expanduser())
    write_json(out / "scores.json", dict(found.result))
    if found.run.report is not None:
        write_bytes(out / "report.html", found.run.report.read_bytes())
    for node in found.run.nodes:
        if node.kind == "evaluator" and node.artifact is not None:
            folder = make_folder(out / node.label)
            for name in (ATOMS, SPECS, INFO, VALUES):
                shutil.copyfile(node.artifact / name, folder / name)

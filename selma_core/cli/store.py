"""`selma store list`, `gc`, `verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from selma_core.cli.common import Json, print_json, print_table

StoreFolder = Annotated[
    Path | None,
    Parameter(
        name="--store", help="Folder of the store; default: $SELMA_STORE, else ./selma-store.", show_default=False
    ),
]

app = App(
    name="store",
    help="List, clean and verify the store of artifacts.\n\nExample: `selma store gc --keep 3 --dry-run`",
)


@app.command(name="list")
def list_command(*, store: StoreFolder = None, json: Json = False) -> None:
    """List the artifacts, newest last, with what made them.

    Example: `selma store list --store my-store`
    """
    from selma_core.store import Store, default_store

    opened = Store(store or default_store())
    found = sorted(opened.manifests(), key=lambda manifest: manifest.created)
    if json:
        rows = [
            {
                "fingerprint": one.fingerprint,
                "stage": one.label,
                "kind": one.kind,
                "plugin": one.plugin,
                "created": one.created,
                "seconds": one.seconds,
                "bytes": one.size,
                "path": str(opened.artifact(one.fingerprint)),
            }
            for one in found
        ]
        print_json({"store": str(opened.root), "artifacts": rows, "unfinished": opened.unfinished()})
        return
    columns = ("created", "stage", "plugin", "size", "fingerprint")
    table = [(one.created, one.label, one.plugin, _size(one.size), one.fingerprint[:12]) for one in found]
    print_table(columns, table)
    print(f"{len(found)} artifacts, {_size(sum(one.size for one in found))} in {opened.root}")
    if opened.unfinished():
        print(f"{len(opened.unfinished())} unfinished: the next run goes on from them")


@app.command(name="gc")
def gc_command(
    *,
    store: StoreFolder = None,
    keep: Annotated[int, Parameter(help="How many of the last runs keep what they refer to.")] = 5,
    dry_run: Annotated[bool, Parameter(help="Only say what would go.", negative="")] = False,
    json: Json = False,
) -> None:
    """Remove what none of the last runs refers to. What is being made right now stays.

    Example: `selma store gc --keep 3 --dry-run`
    """
    from selma_core.errors import UserError
    from selma_core.store import Store, default_store
    from selma_core.store.gc import collect, garbage

    if keep < 0:
        raise UserError(f"--keep must be at least 0, not {keep}")
    opened = Store(store or default_store())
    found = garbage(opened, keep) if dry_run else collect(opened, keep)
    total = sum(item.size for item in found)
    if json:
        rows = [{"fingerprint": one.fingerprint, "unfinished": one.unfinished, "bytes": one.size} for one in found]
        print_json({"store": str(opened.root), "dry_run": dry_run, "removed": rows, "bytes": total})
        return
    for item in found:
        print(f"{item.fingerprint[:12]} {_size(item.size)}{' (unfinished)' if item.unfinished else ''}")
    print(f"{len(found)} {'would go' if dry_run else 'removed'}, {_size(total)}")


@app.command(name="verify")
def verify_command(
    *,
    store: StoreFolder = None,
    drop: Annotated[bool, Parameter(help="Remove damaged artifacts, so that the next run makes them again.")] = False,
    json: Json = False,
) -> int:
    """Compare every file of every artifact with its stored hash. Exit code 1 when something is damaged.

    Example: `selma store verify`
    """
    from selma_core.store import Store, default_store

    opened = Store(store or default_store())
    damage = {name: list(opened.damage(name, full=True)) for name in opened.fingerprints()}
    broken = {name: lines for name, lines in damage.items() if lines}
    if drop:
        for name in broken:
            with opened.lock(name):
                opened.remove(name)
    if json:
        print_json({"store": str(opened.root), "checked": len(damage), "damaged": broken, "dropped": drop})
    else:
        for line in [line for lines in broken.values() for line in lines]:
            print(line)
        print(f"{len(damage)} artifacts checked, {len(broken)} damaged{' and dropped' if drop and broken else ''}")
    return 1 if broken else 0


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"

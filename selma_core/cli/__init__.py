"""The command line; `selma_core.cli:main` is the console script."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code: 0 done, 2 the user's mistake, 1 anything else that failed."""
    from selma_core.cli.app import run_app  # only now: importing `selma_core.cli` stays free

    return run_app(argv)


__all__ = ["main"]

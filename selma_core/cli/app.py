"""The table of commands and the way every one of them ends. Command modules are imported when they are called."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from cyclopts import App, CycloptsError, UnknownCommandError
from rich.console import Console

from selma_core.errors import SelmaError, did_you_mean

# name -> (where its function or sub-app is, the line that `selma --help` shows)
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("selma_core.cli.run:run_command", "Run a recipe: only what the store does not hold yet."),
    "plan": ("selma_core.cli.plan:plan_command", "Show what a run would do, and do nothing."),
    "why": ("selma_core.cli.why:why_command", "Say why a stage would run: what differs from the nearest stored one."),
    "ablate": (
        "selma_core.cli.ablate:ablate_command",
        "Run an ablation: variants over shared stages, as one table.",
    ),
    "evaluate": (
        "selma_core.cli.evaluate:evaluate_command",
        "Score a folder of images that SELMA did not make.",
    ),
    "score": ("selma_core.cli.score:score_command", "Score stored observations or released answers, without a model."),
    "compare": ("selma_core.cli.compare:compare_command", "Compare stored scores, paired by prompt."),
    "table": ("selma_core.cli.table:table_command", "Write a run's scores as Markdown, LaTeX, CSV, Parquet or JSON."),
    "generate": ("selma_core.cli.generate:generate_command", "Draw one image: a prompt, a model, an adapter -> PNG."),
    "merge": ("selma_core.cli.merge:merge_command", "Merge LoRA files into one, without any base model."),
    "adapter": ("selma_core.cli.adapter:app", "Show, convert, compare and fuse LoRA files; write their model cards."),
    "config": ("selma_core.cli.config:app", "Show a recipe as it is resolved, and who set what."),
    "recipes": ("selma_core.cli.recipes:app", "List and show recipes."),
    "skills": ("selma_core.cli.skills:app", "List and show skills."),
    "models": ("selma_core.cli.models:app", "List, show and fetch models."),
    "benchmarks": ("selma_core.cli.benchmarks:app", "List, show and fetch benchmarks."),
    "plugins": ("selma_core.cli.plugins:app", "List plugins and show their options."),
    "study": ("selma_core.cli.study:app", "Ask people: blinded pairs of images, win rates, agreement."),
    "store": ("selma_core.cli.store:app", "List, clean and verify the store of artifacts."),
}

_HELP = """Teach text-to-image models new skills without human data.

Add `-v` to any command for tracebacks and debug messages.

Example: `selma run shapes`, then `selma plan shapes -o stages.merge.use=param_mean`
"""


def build_app(chosen: str | None = None) -> App:
    """The whole command line; no command module is imported yet.

    Args:
        chosen: the command that will run: its help is its own docstring, which the line of the table would hide.
    """
    app = App(
        name="selma",
        help=_HELP,
        help_format="markdown",
        version=_version,
        version_flags=("--version",),
        suppress_keyboard_interrupt=False,
    )
    for name, (where, line) in COMMANDS.items():
        app.command(where, name=name, help=None if name == chosen else line)
    return app


def run_app(argv: Sequence[str] | None = None) -> int:
    """Runs one command line (default: `sys.argv`). Every expected error is one line on stderr."""
    tokens, verbose = _take_verbose(list(sys.argv[1:] if argv is None else argv))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING, format="selma: %(message)s")
    for noisy in ("httpx", "httpcore", "urllib3", "filelock", "asyncio", "PIL", "matplotlib", "huggingface_hub"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        app = build_app(tokens[0] if tokens else None)
        result = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 0 if leaving.code is None else 1
    except BaseException as error:
        return _fail(error, verbose)
    return result if isinstance(result, int) and not isinstance(result, bool) else 0


def _fail(error: BaseException, verbose: bool) -> int:
    if isinstance(error, KeyboardInterrupt):
        sys.stderr.write("selma: interrupted; what was finished is kept\n")
        return 130
    if isinstance(error, BrokenPipeError):  # `selma plugins list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if verbose:
        traceback.print_exception(error)
    if isinstance(error, CycloptsError):
        Console(stderr=True, soft_wrap=True, highlight=False).print("selma: error:", _usage(error), markup=False)
        return 2
    if isinstance(error, SelmaError):
        for line in str(error).splitlines() or [type(error).__name__]:
            sys.stderr.write(f"selma: error: {line}\n")
        return error.exit_code
    text = " ".join(str(error).split())
    tail = "" if verbose else " (this is a bug or a failing plugin; run again with -v for the traceback)"
    sys.stderr.write(f"selma: error: {type(error).__name__}: {text}{tail}\n")
    return 1


def _usage(error: CycloptsError) -> str:
    command = " ".join(("selma", *(error.command_chain or ())))
    if isinstance(error, UnknownCommandError) and error.unused_tokens:
        # cyclopts' own text would import every command to look for near names
        name = error.unused_tokens[0]
        known = [known for known in error.app or () if not known.startswith("-")]
        return f"unknown command '{name}'; {did_you_mean(name, known)} (see: {command} --help)"
    return f"{' '.join(str(error).split()).removesuffix('.')} (see: {command} --help)"


def _take_verbose(tokens: list[str]) -> tuple[list[str], bool]:
    flags = ("-v", "--verbose")
    end = tokens.index("--") if "--" in tokens else len(tokens)
    kept = [token for index, token in enumerate(tokens) if index >= end or token not in flags]
    return kept, len(kept) < len(tokens)


def _version() -> str:
    try:
        return version("selma")
    except PackageNotFoundError:
        return "unknown"

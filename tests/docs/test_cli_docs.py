"""Every command and every option of the command line is on its page, and every command line in the docs parses."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import cyclopts
import pytest

from selma_core.cli.app import build_app
from tests.docs.test_docs import sections

SHARED = {"--help", "--version", "--no-drop"}


def commands(app: cyclopts.App, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, cyclopts.App]]:
    """Full name and app of every command that does something."""
    names = [name for name in app if not name.startswith("-")]
    if not names:
        yield " ".join(("selma", *prefix)), app
    for name in names:
        yield from commands(app[name], (*prefix, name))


def options(app: cyclopts.App) -> set[str]:
    """The long options of a command."""
    arguments = app.assemble_argument_collection(parse_docstring=False)
    return {name for argument in arguments for name in argument.names if name.startswith("--")} - SHARED


COMMANDS = dict(commands(build_app()))


def command_lines(root: Path) -> Iterator[tuple[str, str]]:
    """Every `selma ...` line of README and docs, with its page."""
    pages = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    for page in pages:
        for line in page.read_text().splitlines():
            found = re.match(r"^(?: {4,}|\$ )(selma .*?)(?:\s{2,}#.*)?$", line) or re.match(
                r"^(?:\$ )?(selma .*)$", line
            )
            if found:
                yield page.relative_to(root).as_posix(), re.split(r" #| \|\| ", found[1])[0].strip()


def test_every_command_has_its_section_and_there_is_no_other(root: Path) -> None:
    found = {name for name in sections(root / "docs/reference/cli.md", 3) if name.startswith("selma ")}
    assert found == set(COMMANDS)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_section_has_an_example_and_every_option(root: Path, command: str) -> None:
    text = sections(root / "docs/reference/cli.md", 3)[command]
    assert f"\n    {command}" in text
    missing = {name for name in options(COMMANDS[command]) if not re.search(rf"{name}\b", text)}
    positional = {"--name", "--recipe", "--stage", "--prompt"}
    assert missing <= positional | {"--json"}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_commands_help_has_an_example(command: str) -> None:
    assert f"Example: `{command}" in (inspect.getdoc(COMMANDS[command].default_command) or "")


def test_every_command_line_of_the_docs_parses(root: Path) -> None:
    lines = list(command_lines(root))
    assert len(lines) > 40
    app, wrong = build_app(), []
    for page, line in lines:
        tokens = [token for token in shlex.split(line)[1:] if token != "..."]
        try:
            app.parse_args(tokens, exit_on_error=False, print_error=False)
        except (cyclopts.CycloptsError, SystemExit) as error:
            wrong.append(f"{page}: {line}: {error}")
    assert wrong == []

"""`selma benchmarks list`, `selma benchmarks show`, `selma benchmarks fetch`."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from selma_core.cli.common import Json, PluginFiles, open_catalog, open_registry, print_json, print_table
from selma_core.registry import Registry

app = App(name="benchmarks", help="List, show and fetch benchmarks.\n\nExample: `selma benchmarks show dsg1k`")
Name = Annotated[str, Parameter(help="Registry name, or the path of a file or folder of prompts (./my.csv).")]


@app.command(name="list")
def list_command(*, json: Json = False, plugin: PluginFiles = ()) -> None:
    """List the benchmarks of the registry and whether their files are on this machine.

    Example: `selma benchmarks list`
    """
    from selma_core.benchmarks import benchmark_row

    registry = open_registry(plugin)
    rows = [benchmark_row(registry, f"{one.provider}/{one.name}") for one in registry.located("benchmarks")]
    if json:
        print_json({"benchmarks": rows})
    else:
        shown = ("name", "provider", "license", "status", "summary")
        print_table(shown, [[row[column] for column in shown] for row in rows])


@app.command(name="show")
def show_command(name: Name, /, *, json: Json = False, plugin: PluginFiles = ()) -> None:
    """Show what a benchmark holds: prompts, questions, groups, licence, checksums, images expected per prompt.

    Example: `selma benchmarks show dsg1k`
    """
    from selma_core.benchmarks import describe_benchmark

    catalog = open_catalog(plugin)
    _print(describe_benchmark(catalog, Registry(catalog.registry_sources()), name), json)


@app.command(name="fetch")
def fetch_command(name: Name, /, *, json: Json = False, plugin: PluginFiles = ()) -> None:
    """Download a benchmark's files, verify them, and read them once, unless they are here.

    Example: `selma benchmarks fetch tifa`
    """
    from selma_core.benchmarks import describe_benchmark
    from selma_core.cli.fetching import fetch_with_bar

    catalog = open_catalog(plugin)
    registry = Registry(catalog.registry_sources())
    fetch_with_bar(registry, "benchmarks", name)
    shown = describe_benchmark(catalog, registry, name)
    if json:
        print_json(shown)
    else:
        print(shown["path"])


def _print(shown: dict[str, Any], json: bool) -> None:
    if json:
        print_json(shown)
        return
    texts = {"groups": ", ".join(f"{name} {count}" for name, count in (shown["groups"] or {}).items())}
    texts["sources"] = ", ".join(shown["sources"])
    rows = [(key.replace("_", " "), texts.get(key, value)) for key, value in shown.items()]
    print_table((), [(key, value) for key, value in rows if value not in (None, "")])

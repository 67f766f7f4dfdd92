"""Every hook's docstring holds an example, and the example works."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from selma_core import events, hookimpl, records
from selma_core.hookspecs import SelmaSpecs
from selma_core.kinds import KINDS

HOOKS = {name: spec for name, spec in vars(SelmaSpecs).items() if name.startswith("selma_")}
OFFERING = {kind.hook: kind.record for kind in KINDS} | {"selma_registry_sources": records.RegistrySourceRecord}
EVENTS = {
    "selma_run_started": events.RunStarted(run_id="r", recipe="shapes", nodes={"merge": "run"}, config={}),
    "selma_stage_started": events.StageStarted(
        run_id="r", node="merge", kind="merge_strategy", plugin="selma/linear", fingerprint="f"
    ),
    "selma_stage_finished": events.StageFinished(
        run_id="r",
        node="merge",
        kind="merge_strategy",
        plugin="selma/linear",
        fingerprint="f",
        outcome="ran",
        seconds=1.0,
        artifact=None,
    ),
    "selma_run_finished": events.RunFinished(run_id="r", result={"scores": {}}),
}


def scope() -> dict[str, Any]:
    """What the examples may use without importing it: the record classes, `hookimpl` and `Path`."""
    found = {name: item for name, item in vars(records).items() if inspect.isclass(item) and attrs.has(item)}
    return found | {"hookimpl": hookimpl, "Path": Path}


def run_example(hook: str) -> Callable[..., Any]:
    """Runs the doctest of a hook and returns the function that it defines."""
    names = scope()
    test = doctest.DocTestParser().get_doctest(inspect.getdoc(HOOKS[hook]) or "", names, hook, None, 0)
    assert test.examples, "no example"
    runner = doctest.DocTestRunner()
    runner.run(test, clear_globs=False)
    assert runner.summarize(verbose=False).failed == 0
    made: Callable[..., Any] = test.globs[hook]
    return made


@pytest.mark.parametrize("hook", sorted(OFFERING))
def test_an_offering_hooks_example_yields_its_record(hook: str) -> None:
    (record,) = run_example(hook)()
    assert type(record) is OFFERING[hook]


@pytest.mark.parametrize("hook", sorted(EVENTS))
def test_an_observing_hooks_example_takes_its_event(hook: str, capsys: pytest.CaptureFixture[str]) -> None:
    run_example(hook)(EVENTS[hook])
    assert capsys.readouterr().out.strip()


def test_every_hook_is_exercised_here() -> None:
    assert set(HOOKS) == set(OFFERING) | set(EVENTS)


@pytest.mark.parametrize("hook", sorted(HOOKS))
def test_no_hook_takes_more_than_one_record(hook: str) -> None:
    taken = [name for name in inspect.signature(HOOKS[hook]).parameters if name != "self"]
    assert taken == ([] if hook in OFFERING else ["event"])

"""The conformance kit on records and whole plugins, and its pytest plugin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from selma_core.kinds import KINDS
from selma_core.options import option, positive
from selma_core.records import MergeStrategyRecord
from selma_core.testing import (
    CHECKS,
    FakeContext,
    check_plugin,
    check_record,
)
from tests.core.conformance import fails
from tests.core.support import MERGE, MakeDistribution


def test_there_is_a_check_for_every_kind() -> None:
    assert set(CHECKS) == {kind.name for kind in KINDS}


# --- records ------------------------------------------------------------------------------------------------


def record(**changes: Any) -> MergeStrategyRecord:
    return MergeStrategyRecord(**{"name": "m", "summary": "one line", "factory": "a.b:C", **changes})


def test_records() -> None:
    check_record(record())
    with fails("summary must be one line"):
        check_record(record(summary="two\nlines"))
    with fails("revision counts from 1"):
        check_record(record(revision=0))


DATA = """
from pathlib import Path
from selma_core.hookspecs import hookimpl
from selma_core.records import RegistrySourceRecord

@hookimpl
def selma_registry_sources():
    yield RegistrySourceRecord(name="acme", path=Path(__file__).parent)
"""


def test_options_need_help_and_allowed_defaults() -> None:
    @attrs.frozen
    class Silent:
        part: float = option(0.5)

    @attrs.frozen
    class Refused:
        part: float = option(-1.0, help="h", check=positive)

    with fails("option 'part' needs a help text"):
        check_record(record(options=Silent))
    with fails("default is refused by its own check: must be above 0"):
        check_record(record(options=Refused))


def test_plugin_of_a_distribution(make_distribution: MakeDistribution) -> None:
    make_distribution("acme", {"first": MERGE})
    assert [offer.name for offer in check_plugin("acme")] == ["first"]
    make_distribution("broken-dist", {"bad": "import nothing_like_this"})
    with fails("is quarantined: ModuleNotFoundError"):
        check_plugin("broken-dist")
    with fails("no plugin of 'absent' was found"):
        check_plugin("absent")


def test_plugin_that_only_brings_registry_data(make_distribution: MakeDistribution) -> None:
    make_distribution("acme", {"data": DATA})
    assert check_plugin("acme") == []


def test_plugin_whose_factory_is_missing(make_distribution: MakeDistribution) -> None:
    make_distribution("acme", {"first": MERGE.replace('":First"', '":Frist"')})
    with fails("cannot be imported: AttributeError"):
        check_plugin("acme")


@pytest.mark.slow  # imports every implementation
def test_bundled_plugins_conform() -> None:
    assert len(check_plugin("selma")) > 10


def test_pytest_option(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text(MERGE)
    bad.write_text(MERGE.replace('help="share of the first expert"', 'help=""'))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    command += ["--selma-check", str(good), "--selma-check", str(bad)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "2 passed" in done.stdout
    assert "2 failed" in done.stdout
    assert "option 'part' needs a help text" in done.stdout


def test_fixture(selma_context: FakeContext, tmp_path: Path) -> None:
    assert selma_context.workdir == tmp_path


# --- prompts and chat ---------------------------------------------------------------------------------------

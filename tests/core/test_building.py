"""From an offer to an implementation, and events to observers."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from selma_core.catalog import Catalog
from selma_core.errors import MissingExtraError, PluginError, UserError
from selma_core.events import RunFinished, StageProgress
from selma_core.loading import protocol_members
from selma_core.protocols import MergeStrategy
from tests.core.support import MERGE, MakeDistribution


def build(catalog: Catalog, name: str = "first") -> object:
    offer = catalog.find("merge_strategy", name)
    return catalog.build(offer, offer.record.options())


def test_built_implementation_gets_its_options(make_distribution: MakeDistribution) -> None:
    make_distribution("acme", {"first": MERGE})
    built = build(Catalog.discover(select="acme"))
    assert isinstance(built, MergeStrategy)
    assert built.options.part == 0.5  # type: ignore[attr-defined]


def test_missing_package_of_an_extra_names_the_command(make_distribution: MakeDistribution) -> None:
    code = MERGE.replace('__name__ + ":First"', '"nothing_like_this.x:First", requires="gpu"')
    make_distribution("acme", {"first": code})
    with pytest.raises(MissingExtraError, match=r"'nothing_like_this'.*type: pip install 'acme\[gpu\]'"):
        build(Catalog.discover(select="acme"))


def test_package_that_only_the_factory_imports_names_the_command_too(make_distribution: MakeDistribution) -> None:
    code = MERGE.replace("self.options = options", "import nothing_like_this").replace(
        'First", options', 'First", requires="gpu", options'
    )
    make_distribution("acme", {"first": code})
    with pytest.raises(MissingExtraError, match=r"pip install 'acme\[gpu\]'"):
        build(Catalog.discover(select="acme"))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('":First"', '":Nothing"', "cannot be imported: AttributeError"),
        ('__name__ + ":First"', '"nothing_like_this.x:First"', "cannot be imported: ModuleNotFoundError"),
        ("self.options = options", "raise KeyError('x')", "its factory failed: KeyError"),
        ("def merge_layer", "def merge_layers", "First lacks merge_layer"),
    ],
)
def test_plugin_that_cannot_be_built(make_distribution: MakeDistribution, old: str, new: str, expected: str) -> None:
    make_distribution("acme", {"first": MERGE.replace(old, new)})
    with pytest.raises(PluginError, match=expected) as caught:
        build(Catalog.discover(select="acme"))
    assert "merge_strategy 'acme/first'" in str(caught.value)


def test_error_that_the_plugin_raises_on_purpose_passes(make_distribution: MakeDistribution) -> None:
    code = MERGE.replace("self.options = options", "from selma_core.errors import UserError; raise UserError('mine')")
    make_distribution("acme", {"first": code})
    with pytest.raises(UserError, match=r"^mine$"):
        build(Catalog.discover(select="acme"))


def test_protocol_members() -> None:
    assert protocol_members(MergeStrategy) == ("merge_layer", "weights")


OBSERVER = """
from selma_core import hookimpl
seen = []
@hookimpl
def selma_run_finished(event):
    seen.append(event.run_id)
    {action}
"""


def test_every_observer_is_called_and_a_raising_one_is_reported_once(
    make_distribution: MakeDistribution, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mark = tmp_path / "seen"
    make_distribution("bad-observer", {"bad": OBSERVER.format(action="raise RuntimeError('boom')")})
    make_distribution("good-observer", {"good": OBSERVER.format(action=f"open({str(mark)!r}, 'a').write('x')")})
    catalog = Catalog.discover(select="bad-observer,good-observer")
    with caplog.at_level(logging.WARNING, logger="selma"):
        catalog.emit(RunFinished(run_id="1", result={}))
        catalog.emit(RunFinished(run_id="2", result={}))
    assert mark.read_text() == "xx"
    assert [record.getMessage() for record in caplog.records] == [
        "plugin 'bad-observer:bad': selma_run_finished raised RuntimeError: boom; the run goes on"
    ]


def test_events_without_a_hook_are_ignored() -> None:
    Catalog.discover(select="none").emit(StageProgress(run_id="1", node="n", done=1, total=2))

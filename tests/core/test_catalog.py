"""Discovery: entry points, single files, selection, quarantine, names."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from selma_core.catalog import Catalog
from selma_core.errors import AmbiguousNameError, PluginError, UnknownNameError
from selma_core.kinds import KINDS
from tests.core.support import MERGE, MakeDistribution


def line_about(catalog: Catalog, plugin: str) -> str:
    (problem,) = [problem for problem in catalog.problems if problem.plugin == plugin]
    assert "\n" not in problem.line
    return problem.line


def test_entry_point_is_found_with_provider_and_version(make_distribution: MakeDistribution) -> None:
    make_distribution("acme-merge", {"first": MERGE}, version="3.1")
    offer = Catalog.discover().find("merge_strategy", "first")
    assert (offer.provider, offer.version, offer.plugin) == ("acme-merge", "3.1", "acme-merge:first")
    assert offer.qualified == "acme-merge/first"
    assert offer.source is None


def test_offers_are_sorted_by_kind_name_provider(make_distribution: MakeDistribution) -> None:
    make_distribution("zeta", {"first": MERGE})
    make_distribution("alpha", {"first": MERGE})
    catalog = Catalog.discover()
    order = [kind.name for kind in KINDS]
    keys = [(order.index(offer.kind.name), offer.name, offer.provider) for offer in catalog.offers()]
    assert keys == sorted(keys)
    assert {offer.kind.name for offer in catalog.offers("merge_strategy")} == {"merge_strategy"}


def test_same_name_from_two_distributions_is_an_error_only_for_the_bare_name(
    make_distribution: MakeDistribution,
) -> None:
    make_distribution("alpha", {"first": MERGE})
    make_distribution("zeta", {"first": MERGE})
    catalog = Catalog.discover(select="alpha,zeta")
    assert catalog.problems == ()
    with pytest.raises(AmbiguousNameError, match=r"write 'alpha/first' or 'zeta/first'"):
        catalog.find("merge_strategy", "first")
    assert catalog.find("merge_strategy", "zeta/first").provider == "zeta"


def test_two_entry_points_of_one_distribution_with_one_name(make_distribution: MakeDistribution) -> None:
    make_distribution("acme", {"one": MERGE, "two": MERGE})
    catalog = Catalog.discover()
    assert catalog.find("merge_strategy", "first").plugin == "acme:one"
    assert "already offered by 'acme:one'" in line_about(catalog, "acme:two")


BROKEN = {
    "import": ("import nothing_like_this", "ModuleNotFoundError: No module named 'nothing_like_this'"),
    "exit": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "raises": (
        MERGE + "\n@hookimpl\ndef selma_trackers():\n    raise RuntimeError('boom\\nsecond line')\n",
        "RuntimeError: boom second line",
    ),
    "wrong_type": (
        MERGE.replace("def selma_merge_strategies", "def selma_evaluators"),
        "selma_evaluators yielded a MergeStrategyRecord; it must yield EvaluatorRecord",
    ),
    "one_record": (MERGE.replace("yield Merge", "return Merge"), "returned one MergeStrategyRecord; yield it"),
    "unknown_hook": (
        MERGE.replace("selma_merge_strategies", "selma_merge_strategy"),
        "there is no hook 'selma_merge_strategy'; did you mean 'selma_merge_strategies'?",
    ),
    "forgot_mark": (MERGE.replace("@hookimpl", ""), "selma_merge_strategies lacks @hookimpl"),
    "argument": (MERGE.replace("strategies()", "strategies(config)"), "PluginValidationError"),
    "wrapper": (MERGE.replace("@hookimpl", "@hookimpl(wrapper=True)"), "is a hook wrapper"),
    "bad_name": (MERGE.replace('name="first"', 'name="First"'), "must be lower case letters, digits, underscores"),
    "unbindable": (
        MERGE.replace("part: float", "part: object").replace("0.5", "{1, 2}"),
        "options Options",
    ),
    "unknown_component": (
        MERGE.replace('option(0.5, help="share of the first expert", check=positive)', 'component("chat_modl", Slot())')
        .replace("part: float", "part: Slot")
        .replace("import option, positive", "import Slot, component"),
        "options Options.part: unknown kind 'chat_modl'; did you mean 'chat_model'?",
    ),
}


@pytest.mark.parametrize("name", [name for name, (_, line) in BROKEN.items() if line])
def test_broken_plugin_is_quarantined_alone(make_distribution: MakeDistribution, name: str) -> None:
    code, expected = BROKEN[name]
    make_distribution("broken-dist", {"bad": code})
    make_distribution("acme", {"first": MERGE})
    catalog = Catalog.discover(select="broken-dist,acme")
    line = line_about(catalog, "broken-dist:bad")
    assert line.startswith("plugin 'broken-dist:bad' is quarantined: ")
    assert expected in line
    assert "Traceback" in catalog.problems[0].trace
    assert [offer.provider for offer in catalog.offers()] == ["acme"]


def test_quarantined_plugin_is_named_when_a_name_is_unknown(make_distribution: MakeDistribution) -> None:
    make_distribution("broken-dist", {"bad": "import nothing_like_this"})
    make_distribution("acme", {"first": MERGE})
    catalog = Catalog.discover()
    with pytest.raises(
        UnknownNameError, match=r"unknown merge_strategy 'frist'; did you mean 'first'\?.*broken-dist:bad"
    ):
        catalog.find("merge_strategy", "frist")


def test_observer_of_a_quarantined_plugin_is_not_called(make_distribution: MakeDistribution, tmp_path: Path) -> None:
    from selma_core.events import RunFinished

    mark = tmp_path / "called"
    code = BROKEN["raises"][0] + f"\n@hookimpl\ndef selma_run_finished(event):\n    open({str(mark)!r}, 'w').close()\n"
    make_distribution("broken-dist", {"bad": code})
    Catalog.discover().emit(RunFinished(run_id="r", result={}))
    assert not mark.exists()


def test_strict_turns_quarantine_into_an_error(
    make_distribution: MakeDistribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_distribution("broken-dist", {"bad": "import nothing_like_this"})
    monkeypatch.setenv("SELMA_PLUGINS", "broken-dist")
    monkeypatch.setenv("SELMA_PLUGINS_STRICT", "1")
    with pytest.raises(PluginError, match="broken-dist:bad"):
        Catalog.discover()
    monkeypatch.setenv("SELMA_PLUGINS_STRICT", "0")
    assert len(Catalog.discover().problems) == 1


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        ("acme", {"acme:first", "acme:second"}),
        ("acme:first", {"acme:first"}),
        ("second", {"acme:second"}),
        ("none", set()),
        ("acme,-second", {"acme:first"}),
        ("all,-selma", {"acme:first", "acme:second"}),
        ("-selma,-acme:first", {"acme:second"}),
        ("ACME", {"acme:first", "acme:second"}),
    ],
)
def test_selection(make_distribution: MakeDistribution, select: str, expected: set[str]) -> None:
    make_distribution("acme", {"first": MERGE, "second": MERGE.replace('"first"', '"second"')})
    catalog = Catalog.discover(select=select)
    assert {offer.plugin for offer in catalog.offers()} == expected
    assert catalog.problems == ()


def test_selection_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELMA_PLUGINS", "none")
    assert Catalog.discover().offers() == ()


def test_selection_of_an_unknown_plugin_is_a_problem_with_the_nearest_name(make_distribution: MakeDistribution) -> None:
    make_distribution("acme-merge", {"first": MERGE})
    catalog = Catalog.discover(select="acme-merg")
    assert catalog.problems[0].line.endswith("did you mean 'acme-merge'?")


def test_single_file_plugin(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MERGE)
    catalog = Catalog.discover([file], select="none")
    (offer,) = catalog.offers()
    assert offer.source == hashlib.sha256(file.read_bytes()).hexdigest()
    assert offer.provider == "mine.py"
    assert catalog.files == (file.resolve(),)
    assert catalog.build(offer, offer.record.options()).weights(2, "") == (1.0, 1.0)


def test_single_file_plugin_may_name_itself_by_its_stem(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MERGE.replace("__name__ +", '"mine" +'))
    catalog = Catalog.discover([file], select="none")
    assert catalog.load(catalog.find("merge_strategy", "first")).__name__ == "First"


def test_changed_single_file_is_loaded_anew(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MERGE)
    before = Catalog.discover([file], select="none").find("merge_strategy", "first")
    file.write_text(MERGE.replace("1.0 for", "2.0 for"))
    catalog = Catalog.discover([file], select="none")
    after = catalog.find("merge_strategy", "first")
    assert after.source != before.source
    assert catalog.build(after, None).weights(1, "") == (2.0,)


def test_missing_file_is_a_problem_with_its_path(tmp_path: Path) -> None:
    catalog = Catalog.discover([tmp_path / "absent.py"], select="none")
    assert str(tmp_path / "absent.py") in catalog.problems[0].line


def test_timings_cover_every_plugin(make_distribution: MakeDistribution) -> None:
    make_distribution("acme", {"first": MERGE, "bad": "import nothing_like_this"})
    timings = Catalog.discover(select="acme").timings
    assert set(timings) == {"acme:first", "acme:bad"}
    assert all(seconds > 0 for seconds in timings.values())


def test_two_catalogs_share_nothing(make_distribution: MakeDistribution) -> None:
    make_distribution("acme", {"first": MERGE})
    assert Catalog.discover(select="acme").offers()
    assert Catalog.discover(select="none").offers() == ()


def test_unknown_kind() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'merge_strategy'"):
        Catalog.discover(select="none").find("merge_stratgy", "x")


def test_bundled_plugins_are_all_in_order(bundled: Catalog) -> None:
    assert [problem.line for problem in bundled.problems] == []

"""The pytest plugin that `pip install selma` registers: the fixture `selma_context` and the option `--selma-check`.

`pytest --selma-check my-distribution` (or `--selma-check mine.py`) adds one test per thing that the plugin offers.
Light: pytest elsewhere pays no import but this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from selma_core.catalog import Catalog
    from selma_core.offers import Offer
    from selma_core.testing.context import FakeContext


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--selma-check`."""
    parser.getgroup("selma").addoption(
        "--selma-check",
        action="append",
        default=[],
        metavar="PLUGIN",
        help="check every record of this distribution or single-file plugin; may be given again",
    )


@pytest.fixture
def selma_context(tmp_path: Path) -> FakeContext:
    """A context for calling a plugin directly; its workdir is the test's own folder."""
    from selma_core.testing.context import FakeContext

    return FakeContext(workdir=tmp_path)


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Appends the tests that `--selma-check` asks for."""
    for wanted in config.getoption("--selma-check"):
        items.extend(_tests(session, str(wanted)))


def _tests(session: pytest.Session, wanted: str) -> Iterator[pytest.Item]:
    from selma_core.catalog import Catalog

    files = (Path(wanted),) if wanted.endswith(".py") else ()
    provider = Path(wanted).name if files else wanted
    catalog = Catalog.discover(files)
    yield _PluginItem.from_parent(session, name=f"selma[{provider}]", provider=provider, files=files)
    for offer in catalog.offers():
        if offer.provider == provider:
            name = f"selma[{offer.kind.name}/{offer.qualified}]"
            yield _OfferItem.from_parent(session, name=name, catalog=catalog, offer=offer)


class _PluginItem(pytest.Item):
    """Is the plugin found, and whole?"""

    def __init__(self, *, provider: str, files: tuple[Path, ...], **rest: Any) -> None:
        super().__init__(**rest)
        self._provider, self._files = provider, files

    def runtest(self) -> None:
        from selma_core.testing.records import check_plugin

        check_plugin(self._provider, files=self._files)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        return str(excinfo.value)


class _OfferItem(pytest.Item):
    """Is one record in order?"""

    def __init__(self, *, catalog: Catalog, offer: Offer, **rest: Any) -> None:
        super().__init__(**rest)
        self._catalog, self._offer = catalog, offer

    def runtest(self) -> None:
        from selma_core.testing.records import check_offer

        check_offer(self._catalog, self._offer)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        return str(excinfo.value)


def pytest_report_header(config: pytest.Config) -> Iterable[str]:
    """Says which plugins are checked, if any."""
    wanted = config.getoption("--selma-check")
    return [f"selma: checks {', '.join(wanted)}"] if wanted else []

"""The raters' page in a headless Chromium, from file://: by keyboard alone, from the name to the downloaded answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.report.test_report_browser import PATIENCE_MS, browser
from tests.study.conftest import INJECTION

__all__ = ["browser"]  # a fixture: pytest finds it by name


@pytest.fixture
def page(browser: Any, call: Callable[..., Any], sets: dict[str, Path], tmp_path: Path) -> Any:
    call("study", "export", sets["a"], sets["b"], "--out", tmp_path / "s", "--pairs", 5)
    found = browser.new_context(accept_downloads=True, viewport={"width": 390, "height": 844}).new_page()
    found.set_default_timeout(PATIENCE_MS)
    found.messages = []
    found.asked = []
    found.on("console", lambda message: found.messages.append(f"{message.type}: {message.text}"))
    found.on("pageerror", lambda error: found.messages.append(str(error)))
    found.on("request", lambda request: found.asked.append(request.url))
    found.goto((tmp_path / "s" / "index.html").as_uri())
    return found


def test_a_whole_study_by_keyboard(page: Any, call: Callable[..., Any], tmp_path: Path) -> None:
    page.keyboard.press("Tab")
    page.keyboard.type("Ana B.")
    page.keyboard.press("Enter")
    prompts = []
    for number in range(5):
        assert page.text_content("#progress") == f"{number + 1} of 5"
        prompts.append(page.text_content("#prompt"))
        # Not `wait_for_function`: where it has to wait it uses `eval`, which the page's own policy forbids.
        page.evaluate("Promise.all([...document.images].map(image => image.decode()))")
        assert page.evaluate("[...document.images].every(image => image.naturalWidth === 32)")
        page.keyboard.press("Enter")  # not answered yet: stays
        assert page.text_content("#progress") == f"{number + 1} of 5"
        page.keyboard.press("1")
        page.keyboard.press("2")
        if number == 1:
            page.keyboard.press("Enter")
            page.keyboard.press("Backspace")
            assert page.is_checked("input[name=alignment][value=left]")
        page.keyboard.press("Enter")
    assert INJECTION in prompts
    assert page.title() == "Which image is better?"
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "results-Ana_B_.json"
    download.value.save_as(tmp_path / "ana.json")
    given = json.loads((tmp_path / "ana.json").read_text())
    assert {(a["alignment"], a["quality"]) for a in given["answers"].values()} == {("left", "tie")}
    found = call("study", "import", tmp_path / "s", tmp_path / "ana.json", "--json")
    assert found["questions"]["alignment"]["n_answers"] == 5
    assert found["questions"]["quality"]["win_rate"] == 50
    assert page.messages == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in page.asked)


def test_answers_survive_a_reload_and_nothing_sticks_out(page: Any) -> None:
    def start() -> None:
        page.fill("#rater", "ben")
        page.keyboard.press("Enter")

    start()
    page.check("input[name=alignment][value=right]")
    page.check("input[name=quality][value=left]")
    page.click("#next")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.reload()
    start()
    assert page.text_content("#progress") == "2 of 5"
    assert page.evaluate("document.scripts.length") == 2
    assert page.messages == []

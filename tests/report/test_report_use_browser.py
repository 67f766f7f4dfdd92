"""The report as it is used, in a real headless Chromium: sort, filter, compare, copy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.report.conftest import STRENGTH
from tests.report.test_report_browser import DESKTOP, PHONE, Visit, browser

__all__ = ["browser"]  # a fixture: pytest finds it by name

NAMES = "[...document.querySelectorAll('.variants tbody tr:not([hidden])')].map(r => r.dataset.variant)"


@pytest.fixture(params=[PHONE, DESKTOP])
def visit(request: pytest.FixtureRequest, browser: Any, demo_report: Path) -> Iterator[Visit]:
    found = Visit(browser, demo_report, request.param)
    yield found
    found.page.close()


def column(visit: Visit, index: int) -> list[float]:
    cells = f"[...document.querySelectorAll('.variants tbody tr')].map(r => r.cells[{index}].dataset.v)"
    return [float(value) for value in visit.js(cells)]


def test_every_column_sorts_by_click_and_by_key(visit: Visit) -> None:
    assert visit.js(NAMES) == list(STRENGTH)
    mean = visit.page.locator(".variants th:nth-child(2)")
    assert mean.get_attribute("aria-sort") == "none"
    mean.locator("button").click()
    assert column(visit, 1) == sorted(column(visit, 1), reverse=True)
    assert mean.get_attribute("aria-sort") == "descending"
    visit.page.keyboard.press("Enter")
    assert column(visit, 1) == sorted(column(visit, 1))
    assert mean.get_attribute("aria-sort") == "ascending"
    visit.page.locator(".variants th:nth-child(1) button").focus()
    visit.page.keyboard.press("Space")
    assert visit.js(NAMES) == sorted(STRENGTH)
    assert mean.get_attribute("aria-sort") == "none"
    # What has no number stays last, whichever way.
    difference = visit.page.locator(".variants th:nth-child(5) button")
    for _ in range(2):
        difference.click()
        assert visit.js("document.querySelector('.variants tbody tr:last-child').cells[4].textContent") == "–"


def test_the_interval_moves_with_its_row(visit: Visit) -> None:
    drawn = "Object.fromEntries([...document.querySelectorAll('.variants tbody tr')].map(r => "
    drawn += "[r.dataset.variant, r.querySelector('svg circle').getAttribute('cx')]))"
    before = visit.js(drawn)
    visit.page.locator(".variants th:nth-child(2) button").click()
    assert visit.js(drawn) == before
    places = [float(before[name]) for name in visit.js(NAMES)]
    assert places == sorted(places, reverse=True)


def test_a_filter_narrows_every_table_of_variants(visit: Visit) -> None:
    visit.page.fill("#variant-filter", "EXPERT_ para")
    assert visit.js(NAMES) == ["expert_paragraph"]
    shown = visit.js("[...document.querySelectorAll('tr[data-variant]:not([hidden])')].map(r => r.dataset.variant)")
    assert set(shown) == {"expert_paragraph"}
    assert len(shown) > 3
    assert "1 of 6 variants" in visit.page.inner_text("#variant-count")
    visit.page.fill("#variant-filter", "")
    assert visit.js(NAMES) == list(STRENGTH)


def test_the_heat_map_switches_to_differences(visit: Visit) -> None:
    cell = visit.page.locator(".heatmap").first.locator("tbody tr:last-child td").first
    colour = "getComputedStyle(document.querySelector('.heatmap tbody tr:last-child td')).backgroundColor"
    score, ground = cell.inner_text(), visit.js(colour)
    visit.page.locator(".heat input[value=difference]").first.check()
    assert re.fullmatch(r"[+-]\d+\.\d", cell.inner_text())
    assert float(cell.inner_text()) == pytest.approx(float(score) - float(visit.js(BASE)), abs=0.11)
    assert visit.js(colour) != ground
    visit.page.keyboard.press("ArrowLeft")
    assert cell.inner_text() == score


BASE = "document.querySelector('.heatmap tr[data-variant=base] td .abs').textContent"


def test_images_come_when_they_come_near(visit: Visit) -> None:
    assert visit.js("document.querySelectorAll('#gallery article').length") == 144
    visit.js("document.getElementById('gallery').scrollIntoView({behavior: 'instant'})")
    visit.page.wait_for_selector("#gallery article:first-child img")
    visit.page.wait_for_timeout(200)
    assert 0 < visit.js("document.querySelectorAll('#gallery img').length") < 40 * 6
    assert visit.js("document.querySelectorAll('#gallery article:last-child img').length") == 0
    visit.js("document.querySelector('#gallery article:last-child').scrollIntoView({behavior: 'instant'})")
    visit.page.wait_for_selector("#gallery article:last-child img")
    assert visit.js("document.querySelectorAll('#gallery article:last-child img').length") == 6


def test_two_variants_and_a_slider(visit: Visit) -> None:
    visit.page.check("input[name=view][value=two]")
    visit.page.select_option("#left-variant", label="joint")
    visit.page.select_option("#right-variant", label="merged")
    card = visit.page.locator("#gallery article").first
    card.scroll_into_view_if_needed()
    slider = card.locator("input[type=range]")
    slider.focus()
    assert [image.get_attribute("alt") for image in card.locator("img").all()] == ["joint", "merged"]
    assert slider.get_attribute("aria-valuetext") == "50 % joint, 50 % merged"
    clip = "getComputedStyle(document.querySelector('#gallery .over')).clipPath"
    before = visit.js(clip)
    visit.page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "51 % joint, 49 % merged"
    assert visit.js(clip) != before
    visit.page.keyboard.press("Home")
    assert "inset(0px 0px 0px 0%)" in visit.js(clip)
    box = card.locator(".stack").bounding_box()
    card.locator(".stack").click(position={"x": box["width"] * 0.75, "y": 20})
    assert slider.input_value() in {"74", "75", "76"}


def test_prompts_are_filtered_and_say_what_failed(visit: Visit) -> None:
    count = "[...document.querySelectorAll('#gallery article')].filter(a => !a.hidden).length"
    visit.page.fill("#prompt-filter", "triangles no. 3")
    assert visit.page.inner_text("#prompt-count") == f"{visit.js(count)} of 144 prompts"
    assert visit.js(count) == 2 * 3  # no. 3, 13, 23 in two samples
    visit.page.fill("#prompt-filter", "")
    visit.page.select_option("#prompt-group", "general")
    assert visit.js(count) == 48
    visit.page.check("input[name=view][value=two]")
    visit.page.check("#prompt-differ")
    assert 0 < visit.js(count) < 48
    card = visit.page.locator("#gallery article:not([hidden])").first
    card.scroll_into_view_if_needed()
    card.locator("summary", has_text="questions wrong").first.click()
    assert card.locator("li").first.inner_text() == "Is it?"


def test_a_text_is_copied_or_at_least_selected(visit: Visit) -> None:
    visit.js("Object.defineProperty(navigator, 'clipboard', {value: {writeText: t => {window.got = t}}})")
    visit.page.get_by_role("button", name="Copy command").click()
    visit.page.get_by_text("copied", exact=True).wait_for()
    assert visit.js("window.got") == "selma run shapes -o stages.merge.use=linear"
    visit.js("void (navigator.clipboard.writeText = () => Promise.reject(new Error('closed')))")
    visit.page.get_by_role("button", name="Copy command").click()
    visit.page.get_by_text("selected: copy it").wait_for()
    assert visit.js("getSelection().toString()") == "selma run shapes -o stages.merge.use=linear"


def test_nothing_was_logged_or_asked_for_along_the_way(visit: Visit, demo_report: Path) -> None:
    visit.js("document.getElementById('gallery').scrollIntoView({behavior: 'instant'})")
    visit.page.wait_for_selector("#gallery img")
    visit.page.check("input[name=view][value=two]")
    visit.page.wait_for_selector("#gallery input[type=range]")
    visit.js("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert visit.js("document.documentElement.scrollWidth") <= visit.js("window.innerWidth")
    assert visit.messages == []
    assert [url for url in visit.requests if not url.startswith("data:")] == [demo_report.as_uri()]


def test_landmarks_headings_and_names(visit: Visit) -> None:
    levels = visit.js("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert visit.js("['header', 'nav', 'main', 'footer'].every(n => document.querySelectorAll(n).length === 1)")
    assert visit.js("[...document.querySelectorAll('th')].every(h => h.scope)")
    assert visit.js("[...document.images].every(i => i.alt)")
    assert visit.js("[...document.querySelectorAll('svg')].every(s => s.getAttribute('aria-label'))")
    assert visit.js("[...document.querySelectorAll('input,select')].every(i => i.labels.length || i.ariaLabel)")


def test_without_javascript_it_is_still_read(browser: Any, demo_report: Path) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(demo_report.as_uri())
    assert page.locator(".strip").count() == 12
    assert page.locator(".tools:visible").count() == 0
    assert page.locator(".variants tbody tr:visible").count() == 6
    page.close()

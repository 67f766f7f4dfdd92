"""The report in a real headless Chromium: what a newcomer sees first must simply work."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'selma[dev]'")

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PHONE, DESKTOP = 390, 1200
PATIENCE_MS = 180_000
# A browser that stays quiet: whatever is asked for over the network is asked for by the page.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no browser on PATH ({', '.join(NAMES)}): apt-get install chromium")
    with playwright.sync_playwright() as driver:
        # The sandbox needs user namespaces that containers run as root lack; the page is our own file.
        found = driver.chromium.launch(executable_path=path, args=FLAGS, timeout=PATIENCE_MS)
        yield found
        found.close()


class Visit:
    """A loaded page with everything it logged and asked for."""

    def __init__(self, browser: Any, report: Path, width: int) -> None:
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme="light")
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", lambda message: self.messages.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("dialog", lambda dialog: self.messages.append(f"dialog: {dialog.message}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(report.as_uri())

    def js(self, code: str) -> Any:
        return self.page.evaluate(code)


@pytest.fixture(scope="module", params=[PHONE, DESKTOP])
def visit(request: pytest.FixtureRequest, browser: Any, demo_report: Path) -> Visit:
    return Visit(browser, demo_report, request.param)


def test_quiet_console(visit: Visit) -> None:
    assert visit.messages == []


def test_no_request_but_the_file_itself(visit: Visit, demo_report: Path) -> None:
    outside = [url for url in visit.requests if not url.startswith("data:")]
    assert outside == [demo_report.as_uri()]


def test_no_horizontal_overflow(visit: Visit) -> None:
    visit.js("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert visit.js("document.documentElement.scrollWidth") <= visit.js("window.innerWidth")
    visit.js("document.querySelectorAll('details').forEach(d => d.open = false)")


def test_nothing_sticks_out_of_the_screen(visit: Visit) -> None:
    """Wide tables scroll inside their own box; everything else ends where the screen ends."""
    sticking = visit.js(
        "[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, pre, svg') && "
        "e.getBoundingClientRect().right > window.innerWidth + 1).map(e => e.tagName + '.' + e.className)"
    )
    assert sticking == []


def test_injected_markup_stays_text(visit: Visit) -> None:
    assert visit.js("document.title") == "SELMA report: shapes"
    assert visit.js("[...document.scripts].map(s => s.type || 'runs')") == ["application/json"] * 2 + ["runs"]
    assert visit.js("document.querySelectorAll('img[src=x], [onerror]').length") == 0
    shown = visit.js("[...document.querySelectorAll('.strip h3')].map(p => p.textContent)")
    assert shown[0].startswith("<script>document.title='owned'</script><img src=x onerror=alert(1)> & \"quotes\"")


def test_every_image_decodes(visit: Visit) -> None:
    visit.js("document.getElementById('images').scrollIntoView({behavior: 'instant'})")
    visit.page.wait_for_selector("#gallery img")
    visit.js("Promise.all([...document.images].map(image => image.decode()))")
    sizes = visit.js("[...document.images].map(i => [i.complete, i.naturalWidth])")
    assert len(sizes) > 3 * 6
    assert all(size == [True, 64] for size in sizes)


def test_every_link_has_a_target(visit: Visit) -> None:
    links = visit.js("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    assert len(links) == 10
    assert visit.js("[...document.querySelectorAll('nav a')].every(a => document.querySelector(a.hash))")


def test_all_sections_have_something_to_see(visit: Visit) -> None:
    heights = visit.js("Object.fromEntries([...document.querySelectorAll('section')].map(s => [s.id, s.clientHeight]))")
    assert list(heights) == [
        "verdict",
        "scores",
        "categories",
        "images",
        "cost",
        "prompts",
        "training",
        "stages",
        "settings",
    ]
    assert min(heights.values()) > 80


def test_figure_text_is_readable(visit: Visit) -> None:
    smallest = visit.js(
        "Math.min(...[...document.querySelectorAll('svg text')].filter(t => t.getBBox().width && t.getClientRects()[0])"
        ".map(t => parseFloat(getComputedStyle(t).fontSize) * t.ownerSVGElement.clientWidth "
        "/ t.ownerSVGElement.viewBox.baseVal.width))"
    )
    assert smallest >= 8.5


def test_figure_text_stays_inside_its_figure(visit: Visit) -> None:
    cut = visit.js(
        "[...document.querySelectorAll('svg text')].filter(t => t.getBBox().x < -0.5 || "
        "t.getBBox().x + t.getBBox().width > t.ownerSVGElement.viewBox.baseVal.width + 0.5).map(t => t.textContent)"
    )
    assert cut == []


def test_text_stands_out_in_both_themes(visit: Visit) -> None:
    grounds = set()
    for scheme in ("dark", "light"):
        visit.page.emulate_media(color_scheme=scheme)
        ratios = visit.js(CONTRAST)
        assert min(ratios.values()) >= 4.5, (scheme, ratios)
        grounds.add(visit.js("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2


CONTRAST = """
(() => {
  const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(v => v / 255)
    .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b };
  const ground = e => { while (e && getComputedStyle(e).backgroundColor === 'rgba(0, 0, 0, 0)') e = e.parentElement;
    return getComputedStyle(e).backgroundColor };
  const found = {};
  for (const name of ['h1', 'p.soft', 'td', '.tag', 'figcaption', 'summary', 'nav a', '.word', 'pre',
    'td.h0', 'td.h5', 'td.h10', '.sorter']) {
    const e = document.querySelector(name), a = light(getComputedStyle(e).color), b = light(ground(e));
    found[name] = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  }
  return found;
})()
"""

"""The live page in a real Chromium, and its command on real servers."""

import asyncio
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright
from prometheus_client import CollectorRegistry

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.local.free_port import free_ports
from stream_scorer.adapters.web.listening import bound, server_of
from stream_scorer.adapters.web.worker_pages import read_metrics
from stream_scorer.core.inspecting.worker_metrics import JobTimes
from stream_scorer.errors import TransientError
from stream_scorer.health import Health, serve_pages
from stream_scorer.live_page.app import PAGES, page_app
from stream_scorer.live_page.shown import Shown
from stream_scorer.settings import MetricsSettings
from stream_scorer.telemetry.prometheus import PrometheusTelemetry
from tests.release_samples import model, offer
from tests.ring import Ring
from tests.unit.services.watching.watched_ring import RELEASE, WatchedRing
from tests.waiting import wait_for

LONG_MS = 120_000.0
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# root has no sandbox, and containers have little shared memory
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
QUESTIONS = ("/customer?id=ada", "/offers?text=tea", "/none")


def fetched() -> None:
    """Let playwright fetch a Chromium of its own, which takes an instant where it has one."""
    fetch = [sys.executable, "-m", "playwright", "install", "--only-shell", "chromium"]
    try:
        subprocess.run(fetch, timeout=200, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.fail(f"no Chromium: {error}; apt install chromium, or name one in TEST_CHROMIUM", pytrace=False)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """`TEST_CHROMIUM`, else one that is installed, else one that is fetched. Without any it fails, and never skips."""
    installed = os.environ.get("TEST_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if installed is None:
        fetched()
    with (
        sync_playwright() as tools,
        tools.chromium.launch(executable_path=installed, args=ARGUMENTS, timeout=LONG_MS) as opened,
    ):
        yield opened


@contextmanager
def served(ring: WatchedRing) -> Iterator[str]:
    """Serve the page of a ring in memory, all of it read; yield its address."""
    workers = {"http://10.0.0.5:9100/metrics": [JobTimes("rank", 7, 0.025, 0.1, 2, RELEASE.release_id)]}
    app = page_app(ring.board(workers), Shown(False, None, 100), clock=ring.clock, first_read_s=0.0)
    with bound("127.0.0.1", 0, "ui.port") as listener:
        server = server_of(app, drain_s=1)
        thread = Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(60)


def busy_ring() -> WatchedRing:
    """Return a ring with something on each page: rankings, labels, letters, and a group without members."""
    ring = WatchedRing()
    ring.publish()
    for number in range(3):
        ring.rank(f"q-{number}")
        ring.label(f"q-{number}", accepted=number == 0)
    ring.refuse(b'{"customer_id": "ada", "town": "Turin"}', "feature_kind")
    ring.refuse(b"x" * 500, "not_json")
    return ring


class Watch:
    """Notes what a page complains of, and whom it asks."""

    def __init__(self, page: Page) -> None:
        self.complaints: list[str] = []
        self.asked: set[str] = set()
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.asked.add(request.url))


def faults_of(page: Page) -> Iterator[str]:
    """Look at a page on a phone in light, where most can go wrong, and for contrast in dark; its width in each."""
    for width, scheme in ((1_400, "dark"), (390, "light")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        if (wide := page.evaluate("document.documentElement.scrollWidth")) > width:
            yield f"{page.url} is {wide} wide at {width}"
        rules = {"runOnly": ["color-contrast"]} if scheme == "dark" else None
        found: list[dict[str, Any]] = Axe().run(page, options=rules).response["violations"]
        yield from (f"{page.url} {width} {scheme}: {each['id']}: {each['nodes'][0]['html']}" for each in found)


def test_pages_are_readable_for_everybody(browser: Browser) -> None:
    with served(busy_ring()) as address, browser.new_context() as context:
        context.set_default_timeout(LONG_MS)
        page = context.new_page()
        watch = Watch(page)
        faults: list[str] = []
        for path in (*PAGES, *QUESTIONS):
            answer = page.goto(address + path)
            assert answer is not None
            assert answer.status == (404 if path == "/none" else 200)
            page.eval_on_selector_all("details", "all => all.forEach(each => { each.open = true; })")
            faults += faults_of(page)
        # the browser itself notes the page that is not here
        complaints = [each for each in watch.complaints if "404" not in each]
        assert (faults, complaints) == ([], [])
        assert {each for each in watch.asked if not each.startswith(address)} == set()


def test_a_page_reads_itself_again(browser: Browser) -> None:
    ring = busy_ring()
    with served(ring) as address, browser.new_context() as context:
        context.set_default_timeout(LONG_MS)
        page = context.new_page()
        page.goto(address)
        page.click("summary")  # which has the focus from now on
        before = page.inner_text("#made")
        ring.clock.sleep(20)
        page.evaluate("readAgain()")
        assert page.inner_text("#made") != before
        assert page.locator("details").first.get_attribute("open") is not None
        assert page.evaluate("document.activeElement === document.querySelector('summary')")
        page.click("#pause")
        ring.clock.sleep(20)
        paused = page.inner_text("#made")
        page.evaluate("readAgain()")
        assert page.inner_text("#made") == paused
        assert page.inner_text("#pause") == "Go on refreshing"


def test_a_page_without_its_server_says_so(browser: Browser) -> None:
    with served(busy_ring()) as address, browser.new_context() as context:
        context.set_default_timeout(LONG_MS)
        page = context.new_page()
        page.goto(address)
        page.route("**/*", lambda route: route.abort())
        page.evaluate("readAgain()")
        # the page reads itself, too: a reading of its own may end between any two of these lines
        page.locator("#age", has_text="the server does not answer; trying again.").wait_for()
        page.locator("main.old .headline").wait_for()
        page.unroute("**/*")
        page.evaluate("readAgain()")
        page.locator("#age").wait_for(state="hidden")


def test_workers_metrics_are_read_over_http() -> None:
    registry, clock = CollectorRegistry(), HandClock(0)
    health = Health(clock, stalled_after_s=60.0)
    PrometheusTelemetry(registry, health=health, clock=clock)
    port = serve_pages(MetricsSettings(), health, registry)
    names = {each.name for each in read_metrics(f"http://127.0.0.1:{port}/metrics", timeout_s=60.0)}
    assert "stream_scorer_open_requests" in names
    with pytest.raises(TransientError, match="Not Found"):
        read_metrics(f"http://127.0.0.1:{port}/elsewhere", timeout_s=60.0)
    with pytest.raises(TransientError, match="does not answer with metrics"):
        read_metrics(f"http://127.0.0.1:{port}/livez", timeout_s=60.0)


def page_at(port: int, path: str) -> str:
    """Return a page; empty: there was none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def test_the_command_shows_a_real_ring(ring: Ring, tmp_path: Path) -> None:
    port, pages = free_ports(2)
    ring.publish(model(1), [offer(number) for number in range(9)])
    ring.start("ui", "--port", str(port), log=tmp_path / "ui.log", STREAM_SCORER_METRICS__PORT=str(pages))
    wait_for(lambda: "<h1" in page_at(port, "/"), "the page", every_s=0.2)
    wait_for(lambda: "nobody works in this group" in page_at(port, "/"), "its first look", every_s=0.5)
    assert ring.topics.rankings in page_at(port, "/")
    assert "<strong>serves</strong>" in page_at(port, "/releases")
    assert "offer-3" in page_at(port, "/offers?text=offer-3")
    assert "None of the last 0 rankings" in page_at(port, "/customer?id=ada")
    assert page_at(pages, "/livez") == "live\n"

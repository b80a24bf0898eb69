"""The live page over HTTP, on a ring in memory: what it shows, and what it says where nothing can be read."""

import re
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from stream_scorer.core.inspecting.worker_metrics import JobTimes
from stream_scorer.live_page.app import HEADERS, PAGES, page_app
from stream_scorer.live_page.shown import Shown
from stream_scorer.services.watching.watched import Panel, Watched
from tests.unit.services.watching.watched_ring import RELEASE, TOPICS, WatchedRing

MASKED, PLAIN = Shown(False, None, 100), Shown(True, None, 100)
WORKER = {"http://10.0.0.5:9100/metrics": [JobTimes("rank", 7, 0.025, 0.1, 2, "r-77")]}


@pytest.fixture
def ring() -> WatchedRing:
    """A ring at work: two customers, an accepted offer, and a letter."""
    made = WatchedRing()
    made.publish()
    made.work()
    for number in range(3):
        made.rank(f"q-{number}")
    made.rank("q-3", "benedict")
    made.label("q-0", accepted=True)
    made.label("q-1", accepted=False)
    made.refuse(b'{"customer_id": "ada-lovelace", "town": "Turin"}', "feature_kind")
    return made


def pages(ring: WatchedRing, shown: Shown = MASKED, **options: object) -> TestClient:
    app = page_app(ring.board(WORKER), shown, clock=ring.clock, first_read_s=0.0, **options)  # type: ignore[arg-type]
    return TestClient(app, base_url="http://localhost:8090")


def text_of(client: TestClient, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).replace("&#39;", "'").split())


def test_a_well_ring_is_said_first(ring: WatchedRing) -> None:
    text = text_of(pages(ring), "/")
    assert "The ring is well" in text
    assert "Of the last 4 rankings" in text
    assert "half at most 99 % at most Release rank 7 2 25 ms 100 ms r-77" in text


def test_what_is_wrong_says_what_to_do(ring: WatchedRing) -> None:
    del ring.admin.topics[TOPICS.rankings]
    text = text_of(pages(ring), "/")
    assert "The ring is not well" in text
    assert "What to do: stream-scorer topics" in text


def test_acceptance_has_intervals(ring: WatchedRing) -> None:
    text = text_of(pages(ring), "/labels")
    assert f"{RELEASE.release_id} 2 1 50.0 % 9.5 % to 90.5 %" in text
    assert "latest revisions of 2 requests" in text


def test_releases_and_who_ranked_are_shown(ring: WatchedRing) -> None:
    text = text_of(pages(ring), "/releases")
    assert f"{RELEASE.release_id} serves" in text
    assert f"{RELEASE.release_id} 4 100.0 %" in text


@pytest.mark.parametrize(("shown", "seen"), [(MASKED, False), (PLAIN, True)])
def test_letters_are_masked_unless_settings_say(ring: WatchedRing, shown: Shown, seen: bool) -> None:
    text = text_of(pages(ring, shown), "/letters")
    assert "feature_kind customer-requests 1" in text
    assert ("Turin" in text) == ("lovelace" in text) == seen


@pytest.mark.parametrize(("shown", "seen"), [(MASKED, False), (PLAIN, True)])
def test_customers_are_masked_unless_settings_say(ring: WatchedRing, shown: Shown, seen: bool) -> None:
    text = text_of(pages(ring, shown), "/customer?id=benedict")
    assert ("Customer benedict asked" in text, "colour blue" in text) == (seen, seen)
    assert ("Customer b••••t asked" in text, "colour text of 4" in text) == (not seen, not seen)


def test_a_customers_offers_are_explained_by_name(ring: WatchedRing) -> None:
    text = text_of(pages(ring), "/customer?id=ada")
    assert len(re.findall("Ranked at", text)) == 3
    assert re.search(r"Tea \d offer-\d score [\d.-]+ · label: accepted", text)
    assert re.search(r".\d\.\d{3} customer's price", text)


def test_another_feature_may_name_offers(ring: WatchedRing) -> None:
    text = text_of(pages(ring, replace(MASKED, offer_name="colour")), "/offers?text=offer-2")
    assert "red offer-2 may be ranked" in text


def test_an_empty_ring_has_all_pages() -> None:
    client = pages(WatchedRing())
    assert "there is no release yet" in text_of(client, "/")
    assert "There are no labels yet" in text_of(client, "/labels")
    assert "There is no release yet" in text_of(client, "/releases")
    assert "There are none" in text_of(client, "/letters")
    assert "None of the last 0 rankings" in text_of(client, "/customer?id=ada")
    assert "Could not be read: there is no release yet" in text_of(client, "/offers?text=x")


def test_redis_that_is_away_leaves_the_rest(ring: WatchedRing) -> None:
    ring.releases.away = True
    client = pages(ring)
    assert "The ring is not well" in (home := text_of(client, "/"))
    assert "Of the last 4 rankings" in home
    assert "Could not be read" in (releases := text_of(client, "/releases"))
    assert f"{RELEASE.release_id} 4 100.0 %" in releases
    assert "Not explained" in text_of(client, "/customer?id=ada")


def test_brokers_that_are_away_leave_the_rest(ring: WatchedRing) -> None:
    ring.admin.away = True
    ring.broker.missing |= {TOPICS.rankings, TOPICS.labels, TOPICS.dead_letters}
    client = pages(ring)
    assert "fault brokers no Kafka broker answers" in text_of(client, "/")
    for path in ("/labels", "/letters", "/customer?id=ada"):
        assert "Could not be read" in text_of(client, path)
    assert "serves" in text_of(client, "/releases")


def test_before_the_first_read_pages_say_so(ring: WatchedRing) -> None:
    board = ring.board(read=False)
    client = TestClient(page_app(board, MASKED, clock=ring.clock, first_read_s=0.0), base_url="http://localhost")
    assert "The ring is being examined" in text_of(client, "/")
    assert "Being read" in text_of(client, "/labels")


def test_workers_away_share_the_first_wait(ring: WatchedRing, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    def in_vain(watched: Watched[object], *, wait_s: float) -> Panel[object]:
        waited.append(wait_s)
        ring.clock.sleep(wait_s)
        return Panel()

    monkeypatch.setattr(Watched, "panel", in_vain)
    board = ring.board({f"http://10.0.0.{number}:9100/metrics": [] for number in range(50)}, read=False)
    app = page_app(board, MASKED, clock=ring.clock, first_read_s=2.0)
    assert "The ring is being examined" in text_of(TestClient(app, base_url="http://localhost"), "/")
    assert (len(waited), sum(waited)) == (53, 2.0)


@pytest.mark.parametrize("path", [*PAGES, "/static/page.css", "/static/page.js", "/static/icon.svg", "/none"])
def test_every_answer_is_closed_to_the_outside(ring: WatchedRing, path: str) -> None:
    answer = pages(ring).get(path)
    assert HEADERS.items() <= {name: answer.headers.get(name, "") for name in HEADERS}.items()
    assert not re.search(r"""(?:href|src|action)="(?!/|#)""", answer.text)
    assert "style=" not in answer.text


def test_other_names_are_refused(ring: WatchedRing) -> None:
    client = pages(ring, hosts=["ring.example.org"])
    answers = [client.get("/", headers={"host": host}).status_code for host in ("evil.example", "ring.example.org")]
    assert answers == [400, 200]
    assert client.get("/", headers={"host": "[::1]:8090"}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_sent(ring: WatchedRing, method: str) -> None:
    assert pages(ring).request(method, "/").status_code == 405


def test_what_is_typed_is_never_markup(ring: WatchedRing) -> None:
    typed = "<script>alert(1)</script>"
    for path, name in (("/customer", "id"), ("/offers", "text")):
        assert "<script>alert" not in pages(ring).get(path, params={name: typed}).text


def test_other_paths_are_not_found(ring: WatchedRing) -> None:
    assert [pages(ring).get(path).status_code for path in ("/none", "/static/app.py", "/docs")] == [404, 404, 404]

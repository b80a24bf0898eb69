"""What the pages of health say: the truth table, and the server beneath."""

import io
import socket
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, Gauge
from structlog.testing import capture_logs

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.local.free_port import free_ports
from stream_scorer.core.records import Partition
from stream_scorer.errors import UsageError
from stream_scorer.health import TROUBLE_S, Health, pages_of, serve_pages
from stream_scorer.ports import Assignment, Fetched
from stream_scorer.settings import MetricsSettings

Set = Callable[[Health, HandClock], None]
GAINED = Fetched([], Assignment(gained=(Partition("requests", 0),)))
AWAY = "4/4 brokers are down"


@pytest.fixture
def clock() -> HandClock:
    return HandClock(1_000_000)


@pytest.fixture
def health(clock: HandClock) -> Health:
    return Health(clock, stalled_after_s=60)


def ask(health: Health, path: str) -> tuple[int, str]:
    status: list[str] = []
    environ = {"PATH_INFO": path, "REQUEST_METHOD": "GET", "QUERY_STRING": "", "wsgi.errors": io.StringIO()}
    body = b"".join(pages_of(health, CollectorRegistry())(environ, lambda line, headers: status.append(line)))
    return int(status[0].split()[0]), body.decode()


def nothing(health: Health, clock: HandClock) -> None:
    pass


def waits_for_a_release(health: Health, clock: HandClock) -> None:
    health.watched(lambda: "no release yet", lambda: 0.1)


def redis_away(health: Health, clock: HandClock) -> None:
    health.watched(lambda: "store away", lambda: 99.0)


def no_broker(health: Health, clock: HandClock) -> None:
    health.fetched("join", Fetched([], troubles=(AWAY,), member=False))


def wrong_password(health: Health, clock: HandClock) -> None:
    health.fetched("join", Fetched([], troubles=("Authentication failed",), member=False))


def not_a_member(health: Health, clock: HandClock) -> None:
    health.fetched("join", Fetched([], member=False))


def with_partitions(health: Health, clock: HandClock) -> None:
    health.fetched("join", GAINED)


def without_partitions(health: Health, clock: HandClock) -> None:
    health.fetched("join", Fetched([]))


def restoring(health: Health, clock: HandClock) -> None:
    health.fetched("join", GAINED)
    health.restoring("join", 1)


def restored(health: Health, clock: HandClock) -> None:
    restoring(health, clock)
    health.restoring("join", 0)


def serving(health: Health, clock: HandClock) -> None:
    health.watched(lambda: "following", lambda: 0.2)
    health.release("r-1")
    health.fetched("rank", GAINED)


def serving_without_redis(health: Health, clock: HandClock) -> None:
    serving(health, clock)
    health.watched(lambda: "store away", lambda: 700.0)


def broker_lost(health: Health, clock: HandClock) -> None:
    serving(health, clock)
    health.fetched("rank", Fetched([], troubles=(AWAY,)))


def broker_back(health: Health, clock: HandClock) -> None:
    broker_lost(health, clock)
    clock.sleep(TROUBLE_S + 1)
    health.fetched("rank", Fetched([]))


def stuck(health: Health, clock: HandClock) -> None:
    serving(health, clock)
    clock.sleep(61)


def training_for_hours(health: Health, clock: HandClock) -> None:
    health.began("retrain")
    clock.sleep(7_200)


@pytest.mark.parametrize(
    ("so", "codes", "line"),
    [
        (nothing, (503, 200, 503), "the first round is not over"),
        (waits_for_a_release, (200, 200, 503), "waiting for the first release: no release yet"),
        (redis_away, (200, 200, 503), "waiting for the first release: store away"),
        (no_broker, (200, 200, 503), AWAY),
        (wrong_password, (200, 200, 503), "Authentication failed"),
        (not_a_member, (200, 200, 503), "join is not a member of its consumer group"),
        (with_partitions, (200, 200, 200), "join: 1 partitions"),
        (without_partitions, (200, 200, 200), "join: 0 partitions"),
        (restoring, (200, 200, 503), "join rebuilds the state of 1 partitions"),
        (restored, (200, 200, 200), "join: 1 partitions"),
        (serving, (200, 200, 200), "release r-1, following, confirmed 0.2 s ago"),
        (serving_without_redis, (200, 200, 200), "release r-1, store away, confirmed 700.0 s ago"),
        (broker_lost, (200, 200, 503), AWAY),
        (broker_back, (200, 200, 200), "rank: 1 partitions"),
        (stuck, (200, 503, 503), "stalled: rank"),
        (training_for_hours, (200, 200, 200), "retrain"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_pages_follow_the_truth_table(
    health: Health, clock: HandClock, so: Set, codes: tuple[int, int, int], line: str
) -> None:
    so(health, clock)
    pages = {path: ask(health, path) for path in ("/startupz", "/livez", "/readyz")}
    assert tuple(status for status, _ in pages.values()) == codes
    assert line in pages["/readyz"][1]


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics/", "/livez/x"])
def test_an_unknown_path_is_404(health: Health, path: str) -> None:
    status, line = ask(health, path)
    assert status == 404
    assert "/livez" in line


def test_a_failing_page_is_logged(health: Health) -> None:
    def fails() -> str:
        raise KeyError("rank-0")

    health.release("r-1")
    health.began("rank")
    health.watched(fails, lambda: 0.1)
    with capture_logs() as logs:
        assert ask(health, "/readyz")[0] == 500
    assert (logs[0]["event"], logs[0]["path"]) == ("page_failed", "/readyz")


def test_a_job_may_begin_amid_a_page(health: Health) -> None:
    def begins() -> float:
        health.began("join")
        return 0.1

    health.release("r-1")
    health.began("rank")
    health.watched(lambda: "following", begins)
    walked = iter(health._jobs.items())
    assert ask(health, "/readyz")[0] == 200
    assert [job for job, _ in walked] == ["rank"]


@pytest.fixture
def port(health: Health) -> int:
    registry = CollectorRegistry()
    Gauge("answer", "of all", registry=registry).set(42)
    (free,) = free_ports(1)
    return serve_pages(MetricsSettings(port=free), health, registry)


def test_a_silent_connection_blocks_nobody(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
        assert read(port, "/livez") == (200, "live\n")
        assert "answer 42.0" in read(port, "/metrics")[1]


def test_a_taken_port_is_wrong_usage(port: int, health: Health) -> None:
    with pytest.raises(UsageError, match=f"metrics.port {port} on 127.0.0.1 cannot be used"):
        serve_pages(MetricsSettings(port=port), health, CollectorRegistry())


def test_a_foreign_address_is_wrong_usage(health: Health) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.invalid"):
        serve_pages(MetricsSettings(port=1, address="nowhere.invalid"), health, CollectorRegistry())


def read(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


@pytest.mark.may_skip
def test_pages_listen_on_ipv6_too(health: Health) -> None:
    try:
        (free,) = free_ports(1)
        port = serve_pages(MetricsSettings(port=free, address="::1"), health, CollectorRegistry())
    except UsageError:
        pytest.skip("no IPv6 here")
    with socket.create_connection(("::1", port)) as asking:
        asking.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        assert b"200 OK" in asking.recv(100)

"""The HTTP door as a process, beside a ranker on real servers."""

import json
import signal
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from stream_scorer.adapters.local.free_port import free_ports
from tests.release_samples import model, offer
from tests.ring import Ring, values
from tests.waiting import wait_for

LONG_S = 120.0
REQUEST = {"request_id": "q-1", "customer_id": "ada", "features": {"price": 2.0}, "limit": 3}


def ask(port: int, path: str, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
    """Return the status and the body of an answer; 0: there was none."""
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=LONG_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def test_a_door_answers_and_drains(ring: Ring, tmp_path: Path) -> None:
    port, pages = free_ports(2)
    log = tmp_path / "http.log"
    ring.publish(model(1), [offer(number) for number in range(9)])
    ranker = ring.start("rank", log=tmp_path / "rank.log")
    words = ("http", "--port", str(port), "--metrics-port", str(pages), "--timeout", str(LONG_S))
    door = ring.start(*words, log=log, STREAM_SCORER_LOG__FORMAT="json")
    wait_for(lambda: ask(pages, "/readyz")[0] == 200, "readiness", every_s=0.2)

    status, ranking = ask(port, "/rank", REQUEST)
    assert (status, [ranking]) == (200, [each.value for each in ring.read(ring.topics.rankings)])
    offer_id = json.loads(ranking)["offers"][0]["offer_id"]
    assert (
        ask(port, "/accept", {"request_id": "q-1", "customer_id": "ada", "offer_id": offer_id, "accepted": True})[0]
        == 202
    )
    wait_for(lambda: len(ring.read(ring.topics.outcomes)) == 1, "the outcome")
    assert values(ring.read(ring.topics.outcomes))[0]["offer_id"] == offer_id
    refused = ask(port, "/rank", {**REQUEST, "request_id": "q-2", "features": {"price": [1.0, 2.0]}})
    assert (refused[0], json.loads(refused[1])["code"]) == (422, "feature_kind")

    ranker.signal(signal.SIGSTOP)
    with ThreadPoolExecutor(1) as asking:
        waiting = asking.submit(ask, port, "/rank", {**REQUEST, "request_id": "q-3"})
        wait_for(lambda: b"http_requests_in_flight 1.0" in ask(pages, "/metrics")[1], "a request in flight")
        door.terminate()
        wait_for(lambda: b"draining" in ask(pages, "/readyz")[1], "the drain")
        ranker.signal(signal.SIGCONT)
        assert waiting.result(LONG_S)[0] == 200
    assert door.wait(LONG_S) == 0
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert {"listening", "drained"} <= set(events)
    assert "crashed" not in events

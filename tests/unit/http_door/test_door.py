"""The door on a ring in memory: what is asked over HTTP, and what becomes of it."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.exchange import MemoryExchange
from stream_scorer.client import AsyncClient
from stream_scorer.client.session import Session
from stream_scorer.core.messages import RECORD_BYTES_MAX, CustomerRequest
from stream_scorer.core.ranking.pipeline import RankTopics, rank_batch
from stream_scorer.core.records import Record
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.core.wire.dead_letters import dead_letter_record
from stream_scorer.http_door.admission import Admission
from stream_scorer.http_door.app import door_app
from stream_scorer.http_door.door_metrics import DoorMetrics
from stream_scorer.topic_settings import TopicSettings
from tests.release_samples import model, offer, release

TOPICS = TopicSettings()
RELEASE = release(model(1), [offer(number) for number in range(5)])
NAMES = RankTopics(TOPICS.requests, TOPICS.acceptances, TOPICS.rankings, TOPICS.outcomes)
REQUEST = {"request_id": "q-1", "customer_id": "ada", "event_time_ms": 5, "features": {"price": 2.0}, "limit": 3}
ANSWER = {"request_id": "q-1", "customer_id": "ada", "offer_id": "offer-2", "accepted": True, "request_time_ms": 5}
NOW_MS = 1_763_000_000_000
LONG_S, NOTHING_S = 60.0, 0.001


def rank(record: Record) -> list[Record]:
    """Write what the ranker would write because of a record."""
    batch = rank_batch([record], RELEASE, topics=NAMES)
    written = [*batch.outputs, *(dead_letter_record(each, TOPICS.dead_letters) for each in batch.dead_letters)]
    return [Record(each.topic, 0, 0, each.key, each.value, 0, each.headers) for each in written]


@contextmanager
def door(
    exchange: MemoryExchange, *, timeout_s: float = LONG_S, in_flight_max: int = 9, registry: Any = None
) -> Iterator[TestClient]:
    """Open a door whose client waits for `timeout_s`; bodies may take as long as they like."""
    with closing(Session(exchange, TOPICS, expected_max=in_flight_max)) as session:
        clock = HandClock(NOW_MS)
        app = door_app(AsyncClient(session, timeout_s=timeout_s), clock=clock, timeout_s=LONG_S)
        metrics = DoorMetrics(registry or CollectorRegistry())
        yield TestClient(
            Admission(app, in_flight_max=in_flight_max, metrics=metrics, clock=clock), raise_server_exceptions=False
        )


def problem(answer: Any) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status_code
    return answer.status_code, answer.json()["code"]


def test_rank_answers_as_the_topic_does() -> None:
    exchange = MemoryExchange(rank)
    with door(exchange) as asked:
        answer = asked.post("/rank", json=REQUEST)
    [written, *_] = rank(exchange.sent[0])
    assert (answer.status_code, answer.content) == (200, written.value)
    assert [(each.topic, each.key) for each in exchange.sent] == [(TOPICS.requests, b"ada")]
    assert (answer.json()["request_id"], answer.json()["event_time_ms"]) == ("q-1", 5)


def test_ids_and_times_are_made() -> None:
    exchange = MemoryExchange(rank)
    with door(exchange) as asked:
        answer = asked.post("/rank", json={"customer_id": "ada", "features": {}}).json()
    [sent] = decode_all(exchange.sent, CustomerRequest).messages
    assert (answer["request_id"], answer["event_time_ms"]) == (sent.request_id, NOW_MS)
    assert len(sent.request_id) == 32


def test_accept_answers_once_brokers_have_it() -> None:
    exchange = MemoryExchange()
    with door(exchange) as asked:
        answer = asked.post("/accept", json=ANSWER)
    assert answer.status_code == 202
    assert answer.content == exchange.sent[0].value
    assert answer.json() == {**ANSWER, "acceptance_id": answer.json()["acceptance_id"], "event_time_ms": NOW_MS}
    assert exchange.tails == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "empty_value"),
        (b"{", 400, "not_json"),
        (b"\xff", 400, "not_utf8"),
        (b"[]", 400, "not_an_object"),
        (b'{"limit": 1, "limit": 2}', 400, "duplicate_key"),
        (json.dumps({**REQUEST, "features": {"a": 2**70}}).encode(), 400, "number_out_of_range"),
        (json.dumps({**REQUEST, "limit": 0}).encode(), 422, "number_out_of_range"),
        (json.dumps({**REQUEST, "customer_id": None}).encode(), 422, "wrong_type"),
        (b'{"features": {}}', 422, "missing_field"),
        (json.dumps({**REQUEST, "features": {"price": [1.0, 2.0]}}).encode(), 422, "feature_kind"),
        (b" " * (RECORD_BYTES_MAX + 1), 413, "record_too_large"),
    ],
)
def test_bad_input_has_its_letters_code(body: bytes, status: int, code: str) -> None:
    with door(MemoryExchange(rank)) as asked:
        answer = asked.post("/rank", content=body, headers={"content-type": "application/json"})
    assert problem(answer) == (status, code)


def test_other_content_types_are_refused() -> None:
    with door(MemoryExchange(rank)) as asked:
        assert problem(asked.post("/rank", content=b"{}")) == (415, "not_json_content")
        assert problem(asked.post("/rank", data={"a": "b"})) == (415, "not_json_content")
        typed = {"content-type": "Application/JSON; charset=utf-8"}
        assert asked.post("/rank", content=json.dumps(REQUEST).encode(), headers=typed).status_code == 200


@pytest.mark.parametrize(
    ("path", "exchange", "status", "code"),
    [
        ("/rank", MemoryExchange(), 504, "no_ranking"),
        ("/rank", MemoryExchange(refuse=lambda record: "away"), 503, "not_delivered"),
        ("/accept", MemoryExchange(refuse=lambda record: "away"), 503, "not_delivered"),
    ],
)
def test_what_may_be_tried_again_has_ids(path: str, exchange: MemoryExchange, status: int, code: str) -> None:
    with door(exchange, timeout_s=NOTHING_S) as asked:
        answer = asked.post(path, json=REQUEST if path == "/rank" else {**ANSWER, "acceptance_id": "a-1"})
    assert problem(answer) == (status, code)
    assert answer.json().get("request_id", answer.json().get("acceptance_id")) in {"q-1", "a-1"}
    assert answer.headers.get("retry-after") == ("1" if status == 503 else None)


def while_ranking(body: dict[str, Any], in_flight_max: int) -> Any:
    """Return the answer to a request that comes while another is in flight."""
    met: list[Any] = []

    def answer(record: Record) -> list[Record]:
        if not met:
            met.append(asked.post("/rank", json=body))
        return rank(record)

    with door(MemoryExchange(answer), in_flight_max=in_flight_max) as asked:
        assert asked.post("/rank", json=REQUEST).status_code == 200
        assert asked.post("/rank", json=REQUEST).status_code == 200
    return met[0]


def test_requests_beyond_the_bound_are_refused() -> None:
    answer = while_ranking({**REQUEST, "request_id": "q-2"}, in_flight_max=1)
    assert problem(answer) == (503, "too_many_in_flight")
    assert answer.headers["retry-after"] == "1"


def test_an_id_in_flight_is_refused() -> None:
    assert problem(while_ranking(REQUEST, in_flight_max=9)) == (409, "awaited_already")


def test_other_paths_and_methods_say_which() -> None:
    with door(MemoryExchange()) as asked:
        assert problem(asked.get("/")) == (404, "no_such_path")
        assert problem(asked.post("/rank/", json=REQUEST, follow_redirects=False)) == (404, "no_such_path")
        answer = asked.get("/rank")
    assert problem(answer) == (405, "no_such_method")
    assert answer.headers["allow"] == "POST"


def test_our_own_mistake_names_nothing() -> None:
    def mistaken(record: Record) -> list[Record]:
        raise ZeroDivisionError("ada's secret")

    with door(MemoryExchange(mistaken)) as asked:
        answer = asked.post("/rank", json=REQUEST)
    assert problem(answer) == (500, "internal_fault")
    assert b"secret" not in answer.content


def test_requests_are_counted_by_known_paths() -> None:
    registry = CollectorRegistry()
    with door(MemoryExchange(rank), registry=registry) as asked:
        for path in ("/rank", "/rank", "/accept", "/a", "/b"):
            asked.post(path, json=REQUEST)

    def count(path: str, status: str) -> float | None:
        return registry.get_sample_value("stream_scorer_http_requests_total", {"path": path, "status": status})

    assert (count("/rank", "200"), count("/accept", "422"), count("other", "404")) == (2, 1, 2)
    assert registry.get_sample_value("stream_scorer_http_requests_in_flight") == 0

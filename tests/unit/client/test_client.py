"""Both clients on a ring in memory: a ranker answers what is sent, or refuses it."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from threading import Event

import pytest

from stream_scorer.adapters.local.clock import SystemClock
from stream_scorer.adapters.memory.exchange import MemoryExchange, MemoryTail
from stream_scorer.client import AsyncClient, Client, new_acceptance, new_request
from stream_scorer.client.session import Session, check_delivered
from stream_scorer.core.messages import CustomerRequest, Ranking
from stream_scorer.core.ranking.pipeline import RankTopics, rank_batch
from stream_scorer.core.records import Record
from stream_scorer.core.wire.codec import decode_all, encode
from stream_scorer.core.wire.dead_letters import dead_letter_record
from stream_scorer.errors import AwaitedAlready, NoRanking, NotDelivered, NotReady, RequestRefused, UsageError
from stream_scorer.topic_settings import TopicSettings
from tests.release_samples import model, offer, release

TOPICS = TopicSettings()
RELEASE = release(model(1), [offer(number) for number in range(5)])
NAMES = RankTopics(TOPICS.requests, TOPICS.acceptances, TOPICS.rankings, TOPICS.outcomes)
REQUEST = new_request("ada", {"price": 2.0}, limit=3, request_id="q-1", event_time_ms=5)
REFUSED = new_request("ada", {"price": [1.0, 2.0]}, request_id="q-2")
LONG_S, NOTHING_S = 60.0, 0.001


def rank(record: Record) -> list[Record]:
    """Write what the ranker would write because of a record."""
    batch = rank_batch([record], RELEASE, topics=NAMES)
    written = [*batch.outputs, *(dead_letter_record(each, TOPICS.dead_letters) for each in batch.dead_letters)]
    return [Record(each.topic, 0, 0, each.key, each.value, 0, each.headers) for each in written]


def expected_ranking(request: CustomerRequest) -> Ranking:
    (record, *_) = rank(Record(TOPICS.requests, 0, 0, None, encode(request), 0))
    return decode_all([record], Ranking).messages[0]


def session(exchange: MemoryExchange, expected_max: int = 100) -> Session:
    return Session(exchange, TOPICS, expected_max=expected_max)


@contextmanager
def client(exchange: MemoryExchange, *, expected_max: int = 100) -> Iterator[Client]:
    with closing(Client(session(exchange, expected_max), clock=SystemClock(), timeout_s=LONG_S)) as made:
        yield made


def test_rank_returns_the_rankers_answer() -> None:
    with client(MemoryExchange(rank)) as made:
        assert made.rank(REQUEST) == expected_ranking(REQUEST)


def test_a_refused_request_raises_its_code() -> None:
    with client(MemoryExchange(rank)) as made, pytest.raises(RequestRefused, match="feature_kind") as raised:
        made.rank(REFUSED)
    assert raised.value.code == "feature_kind"


def test_submitted_requests_come_in_any_order() -> None:
    requests = [new_request(f"c{number}", {}, request_id=f"q-{number}") for number in range(5)]
    with client(MemoryExchange(rank)) as made:
        for each in requests:
            made.submit(each)
        assert [made.ranking(each.request_id).customer_id for each in reversed(requests)] == [
            "c4",
            "c3",
            "c2",
            "c1",
            "c0",
        ]


def test_a_silent_ring_ends_the_wait() -> None:
    with client(MemoryExchange()) as made:
        for _ in range(2):  # after the time-out the id is free again
            with pytest.raises(NoRanking, match="no ranking of request 'q-1' came within"):
                made.rank(REQUEST, timeout_s=NOTHING_S)


def test_anothers_ranking_is_not_taken() -> None:
    stranger = new_request("eve", {"price": 2.0}, request_id=REQUEST.request_id)
    exchange = MemoryExchange()
    with client(exchange) as made:
        made.submit(REQUEST)
        for each in (*rank(Record(TOPICS.requests, 0, 0, None, encode(stranger), 0)), garbage()):
            exchange.write(each)
        exchange.write(rank(exchange.sent[0])[0])
        assert made.ranking(REQUEST.request_id).customer_id == "ada"


def garbage() -> Record:
    return Record(TOPICS.rankings, 0, 0, None, b"\xff{", 0)


def test_sending_alone_reads_nothing() -> None:
    exchange = MemoryExchange(rank)
    with client(exchange) as made:
        made.send(REQUEST, new_acceptance(expected_ranking(REQUEST), "offer-2"))
    assert [each.topic for each in exchange.sent] == [TOPICS.requests, TOPICS.acceptances]
    assert [each.key for each in exchange.sent] == [b"ada", b"ada"]
    assert exchange.tails == []
    assert exchange.closed


def test_what_is_not_delivered_is_raised() -> None:
    exchange = MemoryExchange(refuse=lambda record: "too large" if record.topic == TOPICS.requests else None)
    with client(exchange) as made:
        with pytest.raises(NotDelivered, match="1 of 1 records were not delivered: to customer-requests: too large"):
            made.rank(REQUEST)
        with pytest.raises(UsageError, match="no ranking of request 'q-1' is awaited"):
            made.ranking(REQUEST.request_id)


def test_records_without_an_answer_count() -> None:
    delivered, refused, silent = Future[None](), Future[None](), Future[None]()
    delivered.set_result(None)
    refused.set_exception(NotDelivered("too large"))
    check_delivered([delivered], waited_s=7)
    with pytest.raises(NotDelivered, match="2 of 3 records were not delivered: no answer within 7 s"):
        check_delivered([delivered, silent, refused], waited_s=7)


def test_a_bad_message_is_not_sent() -> None:
    exchange, spoilt = MemoryExchange(), new_request("ada", {})
    spoilt.features["price"] = float("nan")
    with client(exchange) as made:
        for bad in ({"request_id": "q"}, spoilt):
            with pytest.raises(UsageError):
                made.send(REQUEST, bad)  # type: ignore[arg-type]
    assert exchange.sent == []


def test_awaited_rankings_are_bounded_and_distinct() -> None:
    with client(MemoryExchange(), expected_max=1) as made:
        made.submit(REQUEST)
        with pytest.raises(AwaitedAlready, match="'q-1' is awaited already"):
            made.submit(REQUEST)
        with pytest.raises(UsageError, match="1 rankings are awaited"):
            made.submit(REFUSED)


def test_closing_ends_every_wait() -> None:
    with client(MemoryExchange()) as made:
        made.submit(REQUEST)
        future = made._session.expected.future_of(REQUEST.request_id)
        made.close()
        with pytest.raises(NotReady, match="the client is closed"):
            future.result(LONG_S)
        for call in (made.submit, made.send):
            with pytest.raises(NotReady, match="the client is closed"):
                call(REQUEST)


def test_a_broken_tail_ends_every_wait() -> None:
    exchange = MemoryExchange()
    with client(exchange) as made:
        made.submit(REQUEST)
        exchange.tails[0].broken = "not allowed"
        with pytest.raises(NotReady, match="rankings cannot be read any more: not allowed"):
            made.ranking(REQUEST.request_id)
        with pytest.raises(NotReady, match="not allowed"):
            made.submit(REFUSED)


def test_a_session_says_what_is_wrong() -> None:
    exchange = MemoryExchange()
    with closing(session(exchange)) as one:
        one.start_reading()
        assert (one.trouble(), one.failure()) == ("", "")
        exchange.tails[0].trouble = "no broker is connected"
        exchange.failed = "nothing can be sent any more"
        assert (one.trouble(), one.failure()) == ("no broker is connected", "nothing can be sent any more")


def test_reading_that_ended_is_a_failure() -> None:
    exchange = MemoryExchange()
    with closing(session(exchange)) as one:
        one.start_reading()
        one.expected.fail("rankings cannot be read any more")
        assert one.failure() == "rankings cannot be read any more"


def run(exchange: MemoryExchange, use: "Callable[[AsyncClient], object]") -> object:
    with closing(session(exchange)) as one:
        return asyncio.run(use(AsyncClient(one, timeout_s=LONG_S)))  # type: ignore[arg-type]


def test_tasks_rank_beside_each_other() -> None:
    requests = [new_request(f"c{number}", {}, request_id=f"q-{number}") for number in range(9)]

    async def use(made: AsyncClient) -> list[str]:
        return [each.customer_id for each in await asyncio.gather(*map(made.rank, requests))]

    assert run(MemoryExchange(rank), use) == [each.customer_id for each in requests]


@pytest.mark.parametrize(
    ("exchange", "request_", "timeout_s", "error"),
    [
        (MemoryExchange(rank), REFUSED, LONG_S, RequestRefused),
        (MemoryExchange(), REQUEST, NOTHING_S, NoRanking),
        (MemoryExchange(refuse=lambda record: "too large"), REQUEST, LONG_S, NotDelivered),
    ],
)
def test_coroutines_raise_as_threads_do(
    exchange: MemoryExchange, request_: CustomerRequest, timeout_s: float, error: type[Exception]
) -> None:
    with pytest.raises(error):
        run(exchange, lambda made: made.rank(request_, timeout_s=timeout_s))


class SlowExchange(MemoryExchange):
    """Opens a tail only when `may_open` is set."""

    def __init__(self) -> None:
        super().__init__(rank)
        self.is_asked, self.may_open = Event(), Event()

    def tail(self, topics: Sequence[str]) -> MemoryTail:
        self.is_asked.set()
        self.may_open.wait(LONG_S)
        return super().tail(topics)


def test_a_task_cancelled_early_awaits_nothing() -> None:
    exchange = SlowExchange()

    async def use(made: AsyncClient) -> Ranking:
        submitting = asyncio.create_task(made.submit(REQUEST))
        await asyncio.to_thread(exchange.is_asked.wait, LONG_S)
        submitting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await submitting
        exchange.may_open.set()
        await asyncio.to_thread(made._session.start_reading)  # the cancelled task's thread has opened the tail
        return await made.rank(REQUEST)

    assert run(exchange, use) == expected_ranking(REQUEST)


def test_a_cancelled_task_leaves_nothing() -> None:
    exchange = MemoryExchange()

    async def use(made: AsyncClient) -> None:
        await made.submit(REQUEST)
        waiting = asyncio.create_task(made.ranking(REQUEST.request_id))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        exchange.write(rank(exchange.sent[0])[0])
        await made.submit(REQUEST)  # its id is free again

    run(exchange, use)
    assert len(exchange.sent) == 2

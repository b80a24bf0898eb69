"""Builds what the live page shows from the settings; every client it opens only reads."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from threading import BoundedSemaphore

from stream_scorer.adapters.kafka.admin import KafkaTopicAdmin
from stream_scorer.adapters.kafka.log import KafkaLog
from stream_scorer.adapters.kafka.topic_shapes import place_of_key
from stream_scorer.adapters.local.clock import SystemClock
from stream_scorer.adapters.redis.admin import RedisAdmin
from stream_scorer.adapters.redis.client import RedisClient, connect
from stream_scorer.adapters.web.worker_pages import read_metrics
from stream_scorer.core.inspecting.worker_metrics import JobTimes, job_times
from stream_scorer.errors import TransientError
from stream_scorer.ports import Clock
from stream_scorer.services.letters.doctor_letters import letter_findings
from stream_scorer.services.operating.doctor import Finding, examine
from stream_scorer.services.operating.doctor_ring import ring_findings
from stream_scorer.services.watching.board import Board
from stream_scorer.services.watching.customer_rankings import CustomerNow, CustomerTopics, customer_now
from stream_scorer.services.watching.offer_search import OfferSearch
from stream_scorer.services.watching.remembered_releases import RememberedReleases
from stream_scorer.services.watching.ring_now import RingSampler, WatchedJob
from stream_scorer.services.watching.topic_tails import TailReader, labels_now, letters_now, rankings_now
from stream_scorer.services.watching.watched import FiguresT, Watched
from stream_scorer.settings import Settings
from stream_scorer.wiring.brokers import topic_forms
from stream_scorer.wiring.examining import cautions, expected_of, ring_state
from stream_scorer.wiring.stores import releases_on

_EXAMINED_EVERY_S, _READ_EVERY_S = 20.0, 10.0
_READ_S = 10.0  # for the end of a topic, in all
_CUSTOMER_DEPTH = 10  # a customer's rankings lie in one partition, which is read so many times deeper
_CUSTOMERS_AT_ONCE = 2


@contextmanager
def open_board(settings: Settings) -> Iterator[Board]:
    """Yield the board; its clients connect when something is first read.

    A reader of topics is closed by the thread that follows its part: to close it under a read would wait for that, or
    worse.
    """
    with ExitStack() as stack:
        yield _board(settings, SystemClock(), stack)


def _board(settings: Settings, clock: Clock, stack: ExitStack) -> Board:
    ui, topics = settings.ui, settings.topics
    redis = connect(settings.redis.url.get_secret_value(), timeout_s=ui.timeout_s)
    stack.callback(redis.close)
    releases = RememberedReleases(releases_on(redis, settings), clock)

    def watched(
        read: Callable[[], FiguresT], reader: KafkaLog | None = None, every_s: float = _READ_EVERY_S
    ) -> Watched[FiguresT]:
        return Watched(read, clock=clock, every_s=every_s, close=(lambda: None) if reader is None else reader.close)

    def of_end(read: Callable[[TailReader, str], FiguresT], topic: str) -> Watched[FiguresT]:
        reader = _reader(settings)  # each part has one of its own: a consumer is for one thread
        tail = TailReader(reader, clock, ui.records_max, _READ_S)
        return watched(lambda: read(tail, topic), reader)

    doctors, samplers = _reader(settings), _reader(settings)
    return Board(
        watched(_examiner(settings, redis, releases, clock, doctors), doctors, _EXAMINED_EVERY_S),
        watched(_sampler(settings, clock, samplers).read, samplers),
        of_end(rankings_now, topics.rankings),
        of_end(labels_now, topics.labels),
        watched(releases.releases),
        of_end(letters_now, topics.dead_letters),
        {url: watched(_worker(url, ui.timeout_s)) for url in ui.workers},
        _customers(settings, releases, clock),
        OfferSearch(releases, wait_s=ui.timeout_s).find,
    )


def _reader(settings: Settings) -> KafkaLog:
    # The group's name only stands in the client's settings: it is never joined, and nothing is committed.
    config = {**settings.kafka.client_config(), "group.id": settings.join.group}
    return KafkaLog(config, timeout_s=settings.ui.timeout_s, forms=topic_forms(settings))


def _admin(settings: Settings) -> KafkaTopicAdmin:
    return KafkaTopicAdmin(settings.kafka.client_config(), timeout_s=settings.ui.timeout_s)


def _sampler(settings: Settings, clock: Clock, reader: KafkaLog) -> RingSampler:
    names = [name for name, _ in settings.topics.each()]
    return RingSampler(_admin(settings), reader, watched_jobs(settings), names, clock)


def watched_jobs(settings: Settings) -> list[WatchedJob]:
    """Return the jobs of the ring.

    A joiner that emits at the close leaves rankings uncommitted until their labels are final. How far a refresher is,
    Redis knows, and a buffer waits for a file to fill.
    """
    topics, join = settings.topics, settings.join
    closes_ms = join.window_ms + join.late_ms + 2 * join.disorder_ms if join.emit == "at_close" else 0
    rank = WatchedJob("rank", settings.rank.group, (topics.requests, topics.acceptances), needed=True)
    joined = WatchedJob("join", join.group, (topics.rankings, topics.outcomes), may_wait_ms=closes_ms, needed=True)
    flush_ms = int(settings.buffer.flush_s * 1000)
    buffer = WatchedJob("buffer", settings.buffer.group, (topics.labels,), may_wait_ms=flush_ms)
    return [rank, joined, buffer, WatchedJob("refresh", settings.refresh.group, (topics.offers,), paced=False)]


def _examiner(
    settings: Settings, redis: RedisClient, releases: RememberedReleases, clock: Clock, reader: KafkaLog
) -> Callable[[], Sequence[Finding]]:
    admin = _admin(settings)
    # to try a transaction is to write: that is left to the doctor itself
    expected = expected_of(settings, try_transactions=False)
    ring, topic = ring_state(settings, reader, releases, None), settings.topics.dead_letters

    def examined() -> Sequence[Finding]:
        now_ms = clock.now_ms()
        found = examine(
            admin,
            RedisAdmin(redis),
            releases,
            expected,
            now_ms=now_ms,
            ring=lambda: ring_findings(ring),
            letters=lambda: letter_findings(reader, topic, now_ms=now_ms),
        )
        return [*cautions(settings), *found]

    return examined


def _worker(url: str, timeout_s: float) -> Callable[[], list[JobTimes]]:
    return lambda: list(job_times(read_metrics(url, timeout_s=timeout_s)))


def _customers(settings: Settings, releases: RememberedReleases, clock: Clock) -> Callable[[str], CustomerNow]:
    all_features = settings.rank.offer_features is None
    topics = CustomerTopics(settings.topics.rankings, settings.topics.labels, place_of_key, all_features)
    at_once = BoundedSemaphore(_CUSTOMERS_AT_ONCE)

    def asked(customer_id: str) -> CustomerNow:
        if not at_once.acquire(timeout=settings.ui.timeout_s):
            raise TransientError("others are looking customers up at this moment: ask again")
        with ExitStack() as stack:
            stack.callback(at_once.release)
            reader = stack.enter_context(closing(_reader(settings)))
            depth = settings.ui.records_max * _CUSTOMER_DEPTH
            return customer_now(TailReader(reader, clock, depth, _READ_S), releases, topics, customer_id)

    return asked

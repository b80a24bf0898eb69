"""A ring in memory that is looked at: a broker with rankings, labels and letters, and a store of releases."""

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.admin import MemoryStoreAdmin, MemoryTopicAdmin
from stream_scorer.adapters.memory.releases import MemoryReleases
from stream_scorer.adapters.memory.stream import MemoryBroker, MemoryLog
from stream_scorer.core.inspecting.worker_metrics import JobTimes
from stream_scorer.core.messages import CustomerRequest, LabelledOffer, LabelledRanking
from stream_scorer.core.ranking.pipeline import RankTopics, rank_batch
from stream_scorer.core.records import DeadLetter, OutputRecord, Partition, Record
from stream_scorer.core.releases.release import Release
from stream_scorer.core.wire.codec import encode
from stream_scorer.core.wire.dead_letters import dead_letter_record
from stream_scorer.ports import StoreFacts
from stream_scorer.services.operating.doctor import examine
from stream_scorer.services.operating.topics import create_topics
from stream_scorer.services.watching.board import Board
from stream_scorer.services.watching.customer_rankings import CustomerNow, CustomerTopics, customer_now
from stream_scorer.services.watching.offer_search import OfferSearch
from stream_scorer.services.watching.remembered_releases import RememberedReleases
from stream_scorer.services.watching.ring_now import RingSampler
from stream_scorer.services.watching.topic_tails import TailReader, labels_now, letters_now, rankings_now
from stream_scorer.services.watching.watched import Watched
from stream_scorer.settings import Settings
from stream_scorer.wiring.examining import expected_of
from stream_scorer.wiring.watching import watched_jobs
from tests.release_samples import model, offer, release

NOW_MS = 1_700_000_000_000
PARTITIONS = 2
SETTINGS = Settings()
TOPICS = SETTINGS.topics
NAMES = RankTopics(TOPICS.requests, TOPICS.acceptances, TOPICS.rankings, TOPICS.outcomes)
MODEL = model(1)
OFFERS = [
    offer(number, features={"price": float(number), "colour": "red", "name": f"Tea {number}"}) for number in range(5)
]
RELEASE = release(MODEL, OFFERS, created_ms=NOW_MS - 3_600_000)


class WatchedRing:
    """Empty at first, with all its topics; `board` looks at it."""

    def __init__(self) -> None:
        self.clock = HandClock(NOW_MS)
        self.broker = MemoryBroker(PARTITIONS, self.clock)
        self.admin, self.releases = MemoryTopicAdmin(), MemoryReleases()
        create_topics(self.admin, expected_of(SETTINGS).specs)

    def publish(self, made: Release = RELEASE) -> None:
        self.releases.write(made, MODEL)
        self.releases.activate(made.release_id, keep=3)

    def work(self) -> None:
        """Let members join each group."""
        self.admin.member_counts = {job.group: 1 for job in watched_jobs(SETTINGS)}

    def rank(self, request_id: str, customer_id: str = "ada") -> None:
        """Let a ranking be written a second after its request."""
        asked = CustomerRequest(request_id, customer_id, self.clock.now_ms() - 1000, {"price": 2.0, "colour": "blue"})
        records = [Record(TOPICS.requests, 0, 0, None, encode(asked), asked.event_time_ms)]
        for output in rank_batch(records, RELEASE, topics=NAMES).outputs:
            self.broker.append(output)

    def label(self, request_id: str, *, accepted: bool, customer_id: str = "ada", revision: int = 1) -> None:
        """Write final labels of one offer."""
        now_ms = self.clock.now_ms()
        cause = "accepted" if accepted else "window_closed"
        labelled = LabelledOffer("offer-1", 1, 0.5, 1.0, {}, int(accepted), cause, now_ms + 2_000)  # type: ignore[arg-type]
        labels = LabelledRanking(request_id, revision, True, customer_id, now_ms, RELEASE.release_id, {}, [labelled])
        self.broker.append(OutputRecord(TOPICS.labels, customer_id.encode(), encode(labels)))

    def refuse(self, value: bytes, code: str = "not_json") -> None:
        record = Record(TOPICS.requests, 0, 3, None, value, self.clock.now_ms())
        self.broker.append(dead_letter_record(DeadLetter(record, code, "why"), TOPICS.dead_letters))

    def tail(self, records_max: int = 100) -> TailReader:
        return TailReader(MemoryLog(self.broker, "looks"), self.clock, records_max, 10.0)

    def sampler(self) -> RingSampler:
        names = [name for name, _ in TOPICS.each()]
        return RingSampler(self.admin, MemoryLog(self.broker, "looks"), watched_jobs(SETTINGS), names, self.clock)

    def wait(self, group: str, topic: str, behind: int, end: int) -> None:
        """Set how far a group is behind in the first partition of a topic."""
        place = Partition(topic, 0)
        self.admin.end_offsets[place] = end
        self.admin.behind.setdefault(group, {})[place] = behind

    def remembered(self) -> RememberedReleases:
        return RememberedReleases(self.releases, self.clock)

    def customer(self, customer_id: str) -> CustomerNow:
        def place_of(key: bytes, count: int) -> int:
            found = [each.partition for each in self.broker.topic(TOPICS.rankings) if each.key == key]
            return found[0] if found else 0

        topics = CustomerTopics(TOPICS.rankings, TOPICS.labels, place_of)
        return customer_now(self.tail(), self.remembered(), topics, customer_id)

    def board(self, workers: dict[str, list[JobTimes]] | None = None, *, read: bool = True) -> Board:
        """Return a board whose parts are all read, or none."""
        clock, tail, releases = self.clock, self.tail(), self.remembered()
        server = MemoryStoreAdmin(None if self.releases.away else StoreFacts("Valkey 9.1", "noeviction", 1, 100))
        expected = expected_of(SETTINGS, try_transactions=False)
        board = Board(
            Watched(
                lambda: examine(self.admin, server, releases, expected, now_ms=clock.now_ms()), clock=clock, every_s=1
            ),
            Watched(self.sampler().read, clock=clock, every_s=1),
            Watched(lambda: rankings_now(tail, TOPICS.rankings), clock=clock, every_s=1),
            Watched(lambda: labels_now(tail, TOPICS.labels), clock=clock, every_s=1),
            Watched(releases.releases, clock=clock, every_s=1),
            Watched(lambda: letters_now(tail, TOPICS.dead_letters), clock=clock, every_s=1),
            {url: Watched(lambda times=times: times, clock=clock, every_s=1) for url, times in (workers or {}).items()},  # type: ignore[misc]
            self.customer,
            OfferSearch(releases, wait_s=1.0).find,
        )
        for part in board.parts() if read else ():
            part.refresh()
        return board

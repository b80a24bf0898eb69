"""The offers topic into the current release."""

import pytest
from structlog.testing import capture_logs

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.releases import MemoryReleases
from stream_scorer.adapters.memory.stream import MemoryBroker, MemoryLog, MemorySink, MemorySource
from stream_scorer.core.features.coverage import WARNED_ROWS_MIN
from stream_scorer.core.messages import Offer
from stream_scorer.core.records import OutputRecord, Partition
from stream_scorer.core.wire.codec import encode
from stream_scorer.services.streaming.loop import Work
from stream_scorer.services.streaming.refresher import RefreshConfig, Refresher
from tests.release_samples import model, offer, published

GROUP, OFFERS, DEAD = "refresh", "offers", "dead-letters"
CONFIG = RefreshConfig(OFFERS, DEAD, poll_s=0.2)


class World:
    """A broker, a store with a release, and refreshers that come and go."""

    def __init__(self) -> None:
        self.clock, self.store = HandClock(), MemoryReleases()
        self.broker = MemoryBroker(2, self.clock)
        self.sink = MemorySink(self.broker)
        self.join()

    def join(self) -> None:
        """Let a new member take the place of the one that was."""
        self.source = MemorySource(self.broker, GROUP, [OFFERS], held=True)
        self.job = Refresher(self.store, self.source, MemoryLog(self.broker, GROUP), CONFIG, clock=self.clock)

    def say(self, *stated: Offer) -> None:
        for one in stated:
            self.broker.append(OutputRecord(OFFERS, one.offer_id.encode(), encode(one)))

    def withdraw(self, number: int) -> None:
        self.broker.append(OutputRecord(OFFERS, b"offer-%d" % number, None))

    def step(self, *, write: bool = True, records_max: int = 100) -> Work | None:
        """Fetch once and write what is due; without `write` the process is killed before."""
        work = self.job.process(self.source.fetch(records_max=records_max, wait_s=0.2, linger_s=0.0))
        if work is not None and write:
            self.sink.write(work.outputs, work.progress, self.source)
            self.job.written(work)
        return work

    def settle(self) -> None:
        """Let it do all that there is to do."""
        for _ in range(50):
            self.step()
            self.clock.sleep(1.0)

    def held(self) -> dict[str, bytes]:
        current = self.store.current()
        assert current is not None
        catalog = self.store.load(current).catalog
        return dict(zip(catalog.offer_ids, catalog.fragments, strict=True))

    def dead(self) -> list[tuple[bytes | None, bytes]]:
        return [(letter.key, dict(letter.headers)["error.code"]) for letter in self.broker.topic(DEAD)]


@pytest.fixture
def world() -> World:
    return World()


def priced(number: int, price: float) -> Offer:
    return offer(number, features={"price": price})


def test_all_changed_offers_reach_the_release(world: World) -> None:
    published(world.store, offers=3)
    world.say(priced(1, 9.5), priced(7, 1.0))
    world.withdraw(2)
    world.settle()
    assert world.held() == {
        "offer-0": b'{"price":0.0,"colour":"red"}',
        "offer-1": b'{"price":9.5}',
        "offer-7": b'{"price":1.0}',
    }


def test_vectors_come_from_the_releases_tower(world: World) -> None:
    published(world.store, seed=4)
    world.say(priced(1, 9.5))
    world.settle()
    current = world.store.current()
    assert current is not None
    expected = model(4).item_tower.embed([{"price": 9.5}], ["offer-1"]).vectors.astype("float32")
    assert world.store.load(current).catalog.vectors[1].tolist() == expected[0].tolist()


def test_an_unchanged_offer_is_not_written(world: World) -> None:
    published(world.store, offers=3)
    world.say(offer(0), offer(1), offer(2))
    world.withdraw(8)
    world.settle()
    assert world.job.counts == {"records": 4, "changes": 0, "dead_letters": 0}


@pytest.mark.parametrize("differing", [{"active": False}, {"valid_from_ms": 1}, {"valid_until_ms": 1}])
def test_a_change_of_validity_alone_is_written(world: World, differing: dict[str, object]) -> None:
    published(world.store, offers=3)
    world.say(offer(1, **differing))
    world.settle()
    assert world.job.counts["changes"] == 1


def test_the_last_record_of_an_offer_counts(world: World) -> None:
    published(world.store, offers=3)
    world.say(priced(1, 2.0), priced(1, 3.0), priced(1, 4.0))
    world.settle()
    assert world.held()["offer-1"] == b'{"price":4.0}'
    assert world.job.counts["changes"] == 1


@pytest.mark.parametrize("records_max", [1, 2, 100])
def test_an_unembeddable_offer_leaves_its_predecessor(world: World, records_max: int) -> None:
    published(world.store, offers=3)
    world.say(priced(1, 2.0), offer(1, features={"price": "dear"}))
    for _ in range(10):
        world.step(records_max=records_max)
    assert world.held()["offer-1"] == b'{"price":2.0}'
    assert world.dead() == [(b"offer-1", b"feature_kind")]


def test_bad_records_harm_only_themselves(world: World) -> None:
    published(world.store, offers=3)
    world.broker.append(OutputRecord(OFFERS, b"offer-1", b"no json", partition=0))
    world.broker.append(OutputRecord(OFFERS, b"other", encode(priced(1, 2.0)), partition=0))
    world.broker.append(OutputRecord(OFFERS, None, None, partition=0))
    world.broker.append(OutputRecord(OFFERS, b"\xff", None, partition=0))
    world.say(priced(2, 7.0))
    world.settle()
    assert world.dead() == [
        (b"offer-1", b"not_json"),
        (b"other", b"offer_key"),
        (None, b"offer_key"),
        (b"\xff", b"offer_key"),
    ]
    assert world.held()["offer-2"] == b'{"price":7.0}'


def test_an_offer_changed_back_is_written(world: World) -> None:
    published(world.store, offers=3)
    world.say(priced(1, 9.5))
    world.settle()
    world.say(offer(1))
    world.settle()
    assert world.held()["offer-1"] == b'{"price":1.0,"colour":"red"}'


def test_another_members_changes_come_with_its_partition(world: World) -> None:
    published(world.store, offers=3)
    world.source = MemorySource(world.broker, GROUP, [OFFERS], held=True, numbers=[0])
    world.job = Refresher(world.store, world.source, MemoryLog(world.broker, GROUP), CONFIG, clock=world.clock)
    world.settle()
    other = World()
    other.broker, other.store = world.broker, world.store
    other.join()
    world.broker.append(OutputRecord(OFFERS, b"offer-1", encode(priced(1, 9.5)), partition=1))
    for _ in range(3):
        other.step(write=False)
    assert world.held()["offer-1"] == b'{"price":9.5}'
    world.broker.append(OutputRecord(OFFERS, b"offer-1", encode(offer(1)), partition=1))
    world.source._gained.append(Partition(OFFERS, 1))
    world.settle()
    assert world.held()["offer-1"] == b'{"price":1.0,"colour":"red"}'


def test_offers_that_the_topic_never_names_stay(world: World) -> None:
    published(world.store, offers=3)
    world.say(priced(7, 1.0))
    world.settle()
    assert set(world.held()) == {"offer-0", "offer-1", "offer-2", "offer-7"}


def test_a_new_release_gets_the_whole_topic(world: World) -> None:
    published(world.store, seed=1, offers=3)
    world.say(priced(1, 9.5))
    world.settle()
    published(world.store, seed=2, offers=3)
    assert world.held()["offer-1"] != b'{"price":9.5}'
    world.settle()
    assert world.held()["offer-1"] == b'{"price":9.5}'


def test_dead_letters_are_written_once_over_releases(world: World) -> None:
    published(world.store, seed=1)
    world.broker.append(OutputRecord(OFFERS, b"offer-1", b"no json"))
    world.settle()
    published(world.store, seed=2)
    world.settle()
    assert len(world.dead()) == 1


def test_a_rolled_back_release_catches_up(world: World) -> None:
    published(world.store, seed=1, offers=3)
    world.settle()
    published(world.store, seed=2, offers=3)
    world.say(priced(1, 9.5))
    world.settle()
    world.store.roll_back(keep=3)
    world.settle()
    assert world.held()["offer-1"] == b'{"price":9.5}'


def test_it_waits_for_the_first_release(world: World) -> None:
    world.say(priced(1, 9.5))
    world.settle()
    assert not world.job.idle()
    published(world.store, offers=3)
    world.settle()
    assert world.held()["offer-1"] == b'{"price":9.5}'
    assert world.job.idle()


def test_changes_wait_for_the_stores_return(world: World) -> None:
    published(world.store, offers=3)
    world.settle()
    world.store.away = True
    world.say(priced(1, 9.5))
    with capture_logs() as logs:
        world.settle()
    assert [line["state"] for line in logs] == ["held up"]
    world.store.away = False
    world.settle()
    assert world.held()["offer-1"] == b'{"price":9.5}'


def test_a_forgetful_store_gets_changes_again(world: World) -> None:
    _, written = published(world.store, offers=3)
    world.say(priced(1, 9.5))
    world.settle()
    world.store.forget_changes(written.release_id)
    world.settle()
    assert world.held()["offer-1"] == b'{"price":9.5}'


def test_a_store_with_gaps_refuses_changes(world: World) -> None:
    _, written = published(world.store, offers=3)
    world.say(priced(1, 9.5))
    world.settle()
    world.store.forget_changes(written.release_id)
    world.say(priced(1, 9.5), priced(2, 8.5))
    for _ in range(20):
        world.step()
    assert (world.held()["offer-1"], world.held()["offer-2"]) == (b'{"price":9.5}', b'{"price":8.5}')


def test_a_successor_resumes_at_the_release(world: World) -> None:
    published(world.store, offers=3)
    world.say(priced(1, 9.5))
    world.settle()
    world.join()
    world.say(priced(2, 8.5))
    world.settle()
    assert world.job.counts == {"records": 1, "changes": 1, "dead_letters": 0}


def test_a_kill_after_changes_loses_no_letter(world: World) -> None:
    published(world.store, offers=3)
    world.step()
    world.say(priced(1, 9.5))
    world.broker.append(OutputRecord(OFFERS, b"offer-1", b"no json"))
    for _ in range(3):
        world.step(write=False)
    assert world.held()["offer-1"] == b'{"price":9.5}'
    world.join()
    world.settle()
    assert world.dead() == [(b"offer-1", b"not_json")]


def test_an_aborted_batch_is_read_again(world: World) -> None:
    published(world.store, offers=3)
    world.step()
    world.broker.append(OutputRecord(OFFERS, b"offer-1", b"no json"))
    assert world.step(write=False) is not None
    world.job.aborted()
    world.settle()
    assert world.dead() == [(b"offer-1", b"not_json")]


def test_a_recreated_topic_is_read_whole(world: World) -> None:
    published(world.store, offers=3)
    world.say(*(priced(1, float(price)) for price in range(5)))
    world.settle()
    world.broker = MemoryBroker(2, world.clock)
    world.sink = MemorySink(world.broker)
    world.join()
    world.say(priced(1, 9.5))
    world.settle()
    assert world.held()["offer-1"] == b'{"price":9.5}'


def test_many_changes_are_all_applied(world: World) -> None:
    published(world.store, offers=3)
    world.say(*(priced(number, 1.5) for number in range(600)))
    world.step()
    world.step(records_max=600)
    assert len(world.held()) == 600
    assert world.job.counts["changes"] == 600


@pytest.mark.parametrize("running", [True, False])
def test_a_longer_recreated_topic_is_noticed(world: World, running: bool) -> None:
    published(world.store, offers=3)
    world.say(priced(1, 9.5), priced(2, 9.5))
    world.settle()
    world.broker.make_anew(OFFERS)
    if not running:
        world.join()
    world.say(*[priced(1, float(number)) for number in range(9)])
    world.settle()
    assert world.held()["offer-1"] == b'{"price":8.0}'
    assert world.held()["offer-2"] == b'{"price":2.0,"colour":"red"}'


def test_mostly_missing_offer_features_warn_once(world: World) -> None:
    published(world.store)
    world.say(*(offer(number, features={"Price": 1.0, "colour": "red"}) for number in range(WARNED_ROWS_MIN)))
    with capture_logs() as logs:
        world.settle()
        world.say(*(offer(number, features={"Price": 2.0, "colour": "red"}) for number in range(WARNED_ROWS_MIN)))
        world.settle()
    (warning,) = [entry for entry in logs if entry["event"] == "features_missing"]
    assert warning["unknown"] == ["Price"]
    assert warning["missing"] == {"price": warning["offers"]}

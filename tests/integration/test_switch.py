"""Releases are switched, changed and out of reach under load: no ranking is mixed and none is lost."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from threading import Event, Thread
from typing import Any

import msgspec
import numpy as np
import pytest

from stream_scorer.adapters.kafka.feed import KafkaFeed
from stream_scorer.adapters.local.valkey import LocalValkey
from stream_scorer.core.messages import Offer
from stream_scorer.core.records import OutputRecord
from stream_scorer.core.towers.model import Model
from stream_scorer.core.wire.codec import encode
from tests.release_samples import model, offer
from tests.ring import Ring, request, values
from tests.waiting import wait_for

OFFERS = 300
SCORE_TOLERANCE = 1e-6

Scores = np.ndarray[Any, np.dtype[np.float64]]


@pytest.fixture
def valkey() -> Iterator[LocalValkey]:
    """A server of the test's own, since it is stopped here."""
    with LocalValkey() as server:
        yield server


@contextmanager
def load(ring: Ring, *, each: int = 25, pause_s: float = 0.05) -> Iterator[list[int]]:
    """Send requests from a thread, on and on, every fourth with an offer matrix; the list holds how many were sent."""
    stop, sent = Event(), [0]

    def send() -> None:
        producer = ring.producer()
        for start in count(0, each):
            for number in range(start, start + each):
                producer.produce(
                    ring.topics.requests, msgspec.json.encode(request(number, **_matrix(number))), key=f"{number}"
                )
            assert producer.flush(60) == 0
            sent[0] = start + each
            if stop.wait(pause_s):
                return

    thread = Thread(target=send)
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join()


def _matrix(number: int) -> dict[str, object]:
    return {"offers": [f"offer-{(number * 7 + step) % OFFERS}" for step in range(20)]} if number % 4 == 0 else {}


def all_rankings(ring: Ring, sent: int) -> list[dict[str, Any]]:
    """Return the rankings once every request is read: each exactly one."""
    ring.wait_until_read("rank", [ring.topics.requests], timeout_s=120)
    rankings = values(ring.read(ring.topics.rankings))
    assert Counter(ranking["request_id"] for ranking in rankings) == Counter(f"q-{number}" for number in range(sent))
    assert ring.read(ring.topics.dead_letters) == []
    return rankings


def recomputed(made: Model, ranking: Mapping[str, Any]) -> Scores:
    """Return û·v̂ in float64 from both sides' features as the ranking carries them."""
    offers = ranking["offers"]
    customer = made.user_tower.embed([ranking["features"]], [ranking["customer_id"]]).vectors
    vectors = made.item_tower.embed([one["features"] for one in offers], [one["offer_id"] for one in offers]).vectors
    scores: Scores = vectors @ customer[0]
    return scores


def mixed(models: Mapping[str, Model], rankings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rankings whose scores are not those of the release that they name."""
    return [
        ranking
        for ranking in rankings
        if np.abs(
            recomputed(models[ranking["release_id"]], ranking) - [one["score"] for one in ranking["offers"]]
        ).max()
        > SCORE_TOLERANCE
    ]


def offers_of_a_catalog() -> list[Offer]:
    """Return offers of which many are alike, so that many scores are tied."""
    return [offer(number, features={"price": float(number % 29), "colour": "red"}) for number in range(OFFERS)]


def out_of_order(models: Mapping[str, Model], rankings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rankings of the whole catalog that are not its best offers in order, ties by offer id."""
    stated = sorted(offers_of_a_catalog(), key=lambda one: one.offer_id)
    ids = [one.offer_id for one in stated]
    vectors = {
        name: made.item_tower.embed([one.features for one in stated], ids).vectors for name, made in models.items()
    }
    return [
        ranking
        for ranking in rankings
        if not _is_best(models[ranking["release_id"]], vectors[ranking["release_id"]], ids, ranking)
    ]


def _is_best(made: Model, vectors: Scores, ids: Sequence[str], ranking: Mapping[str, Any]) -> bool:
    """Compare with the best of an independent product; where scores hardly differ, either order is right."""
    customer = made.user_tower.embed([ranking["features"]], [ranking["customer_id"]]).vectors[0]
    scores = dict(zip(ids, (vectors @ customer).tolist(), strict=True))
    best = sorted(ids, key=lambda name: (-scores[name], name))[: len(ranking["offers"])]
    got = [one["offer_id"] for one in ranking["offers"]]
    near = all(abs(scores[left] - scores[right]) <= SCORE_TOLERANCE for left, right in zip(best, got, strict=True))
    ties = [(left, right) for left, right in pairwise(got) if scores[left] == scores[right]]
    return near and all(left < right for left, right in ties)


@pytest.mark.timeout(300)
def test_twenty_switches_mix_and_lose_nothing(ring: Ring, tmp_path: Path) -> None:
    models: dict[str, Model] = {}

    def publish(seed: int) -> str:
        made = model(seed)
        release_id = ring.publish(made, offers_of_a_catalog()).release_id
        models[release_id] = made
        return release_id

    newest = publish(0)
    ring.start("serve", "--rankers", "2", "--joiners", "0", log=tmp_path / "serve.log")
    with load(ring) as sent:
        for seed in range(1, 21):
            wait_for(partial(is_named, ring, newest), "rankings by the newest release")
            newest = publish(seed)
        wait_for(partial(is_named, ring, newest), "rankings by the newest release")
    rankings = all_rankings(ring, sent[0])
    assert len(models) == 21
    assert mixed(models, rankings) == []
    assert out_of_order(models, [ranking for ranking in rankings if ranking["eligible_count"] == OFFERS]) == []
    assert {ranking["release_id"] for ranking in rankings} == models.keys()


@pytest.mark.timeout(300)
def test_scores_recompute_from_the_features_beside(ring: Ring, tmp_path: Path) -> None:
    made = model(1)
    released = ring.publish(made, offers_of_a_catalog())
    ring.start("rank", log=tmp_path / "rank.log")
    ring.start("refresh", log=tmp_path / "refresh.log")
    feed = KafkaFeed({"bootstrap.servers": ring.kafka}, ring.topics.offers)

    def change(step: int) -> bool:
        changed = [offer(number, features={"price": step + number / 100}) for number in range(step % 7, OFFERS, 7)]
        feed.send([OutputRecord(ring.topics.offers, one.offer_id.encode(), encode(one)) for one in changed])
        feed.flush()
        return len(prices(values(ring.read(ring.topics.rankings)))) > 100

    with load(ring) as sent:
        wait_for(lambda: ranked(ring) > 0, "the first ranking")
        steps = count()
        wait_for(lambda: change(next(steps)), "many changes in rankings")
    rankings = all_rankings(ring, sent[0])
    assert mixed({released.release_id: made}, rankings) == []


@pytest.mark.timeout(300)
def test_rankers_outlive_an_absent_redis(ring: Ring, valkey: LocalValkey, tmp_path: Path) -> None:
    first, second = model(1), model(2)
    before = ring.publish(first, offers_of_a_catalog()).release_id
    ring.start("serve", "--rankers", "1", "--joiners", "0", log=tmp_path / "serve.log")
    with load(ring) as sent:
        wait_for(lambda: ranked(ring) > 0, "the first ranking")
        valkey.halt()
        sent_before = sent[0]
        wait_for(lambda: ranked(ring) > sent_before + 500, "rankings while Redis is stopped")
        valkey.resume()
        after = ring.publish(second, offers_of_a_catalog()).release_id
        wait_for(partial(is_named, ring, after), "the next release")
        valkey.pause()
        sent_before = sent[0]
        wait_for(lambda: ranked(ring) > sent_before + 500, "rankings while Redis is frozen")
        valkey.unpause()
    rankings = all_rankings(ring, sent[0])
    assert mixed({before: first, after: second}, rankings) == []
    assert {ranking["release_id"] for ranking in rankings} == {before, after}


def ranked(ring: Ring) -> int:
    return len(ring.read(ring.topics.rankings))


def is_named(ring: Ring, release_id: str) -> bool:
    """Return whether a ranking is by this release."""
    return any(release_id.encode() in (one.value or b"") for one in ring.read(ring.topics.rankings))


def prices(rankings: Sequence[dict[str, Any]]) -> set[float]:
    """Return the prices at which offers were ranked."""
    return {one["features"]["price"] for ranking in rankings for one in ranking["offers"]}

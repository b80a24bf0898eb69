"""A program's client and a loaded release, beside a ranker on real servers."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from stream_scorer import load_release
from stream_scorer.client import RequestRefused, connect, connect_async, new_acceptance, new_request
from tests.release_samples import model, offer
from tests.ring import Ring, values
from tests.waiting import wait_for

LONG_S = 120.0
PRICED = [{"offer_id": "offer-1", "features": {"price": 3.5}}, {"offer_id": "offer-2", "features": {"shelf": "top"}}]
REQUESTS = [
    new_request(f"c-{number}", {"price": float(number)}, limit=3, offers=PRICED if number % 3 == 0 else None)
    for number in range(20)
]
REFUSED = new_request("c-1", {"price": [1.0, 2.0]})


def test_clients_get_what_a_release_gives(ring: Ring, tmp_path: Path) -> None:
    ring.publish(model(1), [offer(number) for number in range(9)])
    ring.start("rank", log=tmp_path / "rank.log")
    settings: dict[str, Any] = {f"topics.{name}": value for name, value in ring.topics.model_dump().items()}
    with connect(ring.kafka, settings=settings, timeout_s=LONG_S) as client:
        first = client.rank(REQUESTS[0])
        assert {one.features["price"] for one in first.offers} == {3.5, 2.0}
        with pytest.raises(RequestRefused, match="feature_kind"):
            client.rank(REFUSED)
        answer = new_acceptance(first, first.offers[0].offer_id)
        client.send(answer)

    async def rank_all() -> list[object]:
        async with connect_async(ring.kafka, settings=settings, timeout_s=LONG_S) as client:
            return list(await asyncio.gather(*map(client.rank, REQUESTS[1:])))

    loaded = load_release(ring.redis_url, settings={"redis.prefix": ring.tag, "redis.timeout_s": 20.0})
    assert [first, *asyncio.run(rank_all())] == loaded.rank(REQUESTS)
    wait_for(lambda: len(ring.read(ring.topics.outcomes)) == 1, "the outcome")
    assert values(ring.read(ring.topics.outcomes))[0]["acceptance_id"] == answer.acceptance_id

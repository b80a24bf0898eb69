from typing import Any

import numpy as np
import pytest
from msgspec import structs

from stream_scorer.core.features.coverage import FeatureCoverage
from stream_scorer.core.messages import Acceptance, Filter, Ranking
from stream_scorer.core.ranking.exploration import Exploration
from stream_scorer.core.ranking.pipeline import RankedBatch, rank_batch
from stream_scorer.core.records import OutputRecord, Record
from stream_scorer.core.wire.codec import decode_all, encode
from tests.bad_records import BAD_REQUESTS
from tests.ranking_worlds import TOPICS, catalog_of, offer, record_of, release_of, request, unit_vectors

OFFERS = [
    offer("cheap", features={"price": 1.0}),
    offer("dear", features={"price": 9.0}),
    offer("free", features={"price": 0.0}),
]
RELEASE = release_of(catalog_of(np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), OFFERS), unit_vectors(100, 2))


def run(records: list[Record], **options: Any) -> RankedBatch:
    return rank_batch(records, RELEASE, topics=TOPICS, **options)


def requests_of(count: int, **fields: Any) -> list[Record]:
    return [record_of(request(number, **fields), offset=number) for number in range(count)]


def acceptance_of(number: int, **fields: Any) -> Record:
    return record_of(
        Acceptance(f"a{number}", f"r{number}", f"c{number}", "cheap", accepted=True, event_time_ms=5, **fields),
        TOPICS.acceptances,
        number,
    )


def ranking_in(output: OutputRecord) -> Ranking:
    (ranking,) = decode_all([record_of(output.value)], Ranking).messages
    return ranking


def test_a_ranking_is_keyed_by_customer() -> None:
    (output,) = run(requests_of(1, customer_id="c7", features={"age": 3.0})).outputs
    ranking = ranking_in(output)
    assert (output.topic, output.key, output.headers, output.partition) == ("rankings", b"c7", (), None)
    assert (ranking.request_id, ranking.release_id, ranking.features, ranking.status) == (
        "r0",
        "release-1",
        {"age": 3.0},
        "ranked",
    )
    customer = RELEASE.user_tower.vectors["c7"]  # type: ignore[attr-defined]
    expected = sorted(
        zip((RELEASE.catalog.vectors @ customer).tolist(), RELEASE.catalog.offer_ids, strict=True), reverse=True
    )
    assert [placed.offer_id for placed in ranking.offers] == [offer_id for _, offer_id in expected]


def test_an_acceptance_becomes_a_canonical_outcome() -> None:
    sent = (
        b' {"event_time_ms": 5, "accepted": false, "more": 1, "acceptance_id": "a", "request_id":"r", '
        b'"customer_id": "c", "offer_id": "o"}'
    )
    (output,) = run([record_of(sent, TOPICS.acceptances)]).outputs
    assert output == OutputRecord(
        "outcomes", b"c", encode(Acceptance("a", "r", "c", "o", accepted=False, event_time_ms=5))
    )


def test_an_outcome_keeps_the_attempts_number() -> None:
    again = structs.replace(acceptance_of(1), headers=[("resend.attempt", b"2"), ("traceparent", b"00-1")])
    (output,) = run([again]).outputs
    assert list(output.headers) == [("resend.attempt", b"2")]


def test_a_bad_acceptance_is_a_dead_letter() -> None:
    batch = run([record_of(b'{"acceptance_id": "a"}', TOPICS.acceptances), acceptance_of(1)])
    assert [letter.code for letter in batch.dead_letters] == ["missing_field"]
    assert batch.counts == {"rankings": 0, "outcomes": 1, "dead_letters": 1}


def test_bad_records_leave_good_ones_alone() -> None:
    bad = [
        Record(TOPICS.requests, 1, offset, b"k", value, 0) for offset, (_, value) in enumerate(BAD_REQUESTS.values())
    ]
    records = [record for pair in zip(requests_of(len(bad)), bad, strict=True) for record in pair]
    batch = run(records)
    assert [letter.code for letter in batch.dead_letters] == [code for code, _ in BAD_REQUESTS.values()]
    assert [letter.record for letter in batch.dead_letters] == bad
    assert [ranking_in(output).request_id for output in batch.outputs] == [f"r{number}" for number in range(len(bad))]


def test_unfit_features_leave_other_vectors_alone() -> None:
    records = requests_of(3)
    batch = run([records[0], record_of(request(1, features={"bad": "x"})), records[2]])
    assert [(letter.code, letter.message) for letter in batch.dead_letters] == [
        ("feature_kind", "feature 'bad' must be a number")
    ]
    assert [output.value for output in batch.outputs] == [
        output.value for record in (records[0], records[2]) for output in run([record]).outputs
    ]


def test_a_senseless_filter_never_widens_choice() -> None:
    batch = run([*requests_of(1), record_of(request(1, filters=[Filter("price", "<", "cheap")]))])
    assert [letter.code for letter in batch.dead_letters] == ["filter_kind_mismatch"]
    assert len(batch.outputs) == 1


def test_an_oversized_ranking_is_a_dead_letter() -> None:
    batch = run([*requests_of(2), record_of(request(2, features={"note": "x" * 900}))], ranking_bytes_max=1_000)
    assert [(letter.code, letter.record.offset) for letter in batch.dead_letters] == [("ranking_too_large", 0)]
    assert batch.dead_letters[0].message.startswith("the ranking must be at most 1000 bytes, got 1")
    assert [ranking_in(output).request_id for output in batch.outputs] == ["r0", "r1"]


def test_nothing_eligible_is_an_empty_ranking() -> None:
    (ranking,) = map(ranking_in, run(requests_of(1, offers=[], exclude=["cheap"])).outputs)
    assert (ranking.status, ranking.eligible_count, ranking.excluded, ranking.offers) == ("nothing_eligible", 0, {}, [])


@pytest.mark.parametrize("size", [1, 7])
def test_records_batched_otherwise_give_the_same_bytes(size: int) -> None:
    records = [
        each
        for number in range(15)
        for each in (record_of(request(number, limit=1 + number % 3)), acceptance_of(number))
    ]
    whole = sorted((output.topic, output.value) for output in run(records).outputs)
    parts = [output for start in range(0, len(records), size) for output in run(records[start : start + size]).outputs]
    assert sorted((output.topic, output.value) for output in parts) == whole


def test_an_empty_batch_gives_nothing() -> None:
    nothing = FeatureCoverage("customer", ("bad",))
    assert run([]) == RankedBatch([], [], {"rankings": 0, "outcomes": 0, "dead_letters": 0}, nothing)


def test_exploring_logs_every_places_propensity() -> None:
    exploration = Exploration(temperature=0.5, floor=0.2, pool=3)
    records = requests_of(40)
    batch = run(records, exploration=exploration)
    rankings = [ranking_in(output) for output in batch.outputs]
    assert all(0 < placed.propensity <= 1 for ranking in rankings for placed in ranking.offers)
    assert any(placed.propensity < 1 for ranking in rankings for placed in ranking.offers)
    assert [ranking.offers[-1].propensity for ranking in rankings] == [1.0] * 40
    assert run(records[7:9], exploration=exploration).outputs == batch.outputs[7:9]


def test_listed_headers_go_on() -> None:
    headers = (("traceparent", b"00-1"), ("secret", b"s"), ("resend.attempt", b"2"))
    records = [structs.replace(each, headers=headers) for each in (*requests_of(1), acceptance_of(1))]
    ranking, outcome = run(records, passed=("traceparent",)).outputs
    assert list(ranking.headers) == [("traceparent", b"00-1")]
    assert sorted(outcome.headers) == [("resend.attempt", b"2"), ("traceparent", b"00-1")]

"""Offline ranking is the ranker's own."""

import msgspec

from stream_scorer.core.ranking.pipeline import RankTopics, rank_batch
from stream_scorer.core.records import Record
from stream_scorer.services.operating.scoring import BATCH_REQUESTS, score
from tests.release_samples import model, offer, release
from tests.ring import request

RELEASE = release(model(1), [offer(number) for number in range(9)])
VALUES = [msgspec.json.encode(request(number)) for number in range(BATCH_REQUESTS + 5)]


def test_rankings_equal_those_of_the_ranker() -> None:
    records = [Record("r", 3, number, b"k", value, 9) for number, value in enumerate(VALUES)]
    ranked = rank_batch(records, RELEASE, topics=RankTopics("r", "a", "k", "o"))
    offline = [ranking for scored in score(VALUES, RELEASE, ranking_bytes_max=1_000_000) for ranking in scored.rankings]
    assert offline == [output.value for output in ranked.outputs]


def test_a_refusal_names_its_request() -> None:
    (scored,) = score([VALUES[0], b"{", VALUES[1]], RELEASE, ranking_bytes_max=1_000_000)
    assert [(letter.record.offset, letter.code) for letter in scored.dead_letters] == [(2, "not_json")]
    assert len(scored.rankings) == 2

"""The rivals' function ranks as we do, or their costs would compare nothing."""

import json
from pathlib import Path

from stream_scorer.bench import job
from stream_scorer.bench.rivals.job_folder import write_job
from stream_scorer.bench.rivals.loops.plain_ranking import PlainRanking
from stream_scorer.services.learning.publisher import draft_release
from stream_scorer.services.operating.scoring import score

OFFERS, REQUESTS = 40, 30


def test_a_rivals_rankings_are_ours(tmp_path: Path) -> None:
    release = draft_release(job.model(), job.offers(OFFERS), created_ms=0, embedded=lambda done: None).release
    write_job(tmp_path, release)
    requests = job.requests(REQUESTS)
    ours = [json.loads(each) for one in score(requests, release, ranking_bytes_max=1_000_000) for each in one.rankings]
    theirs = PlainRanking(str(tmp_path)).rank_all([json.loads(each) for each in requests])
    assert [orders(each) for each in theirs] == [orders(each) for each in ours]
    assert [each.keys() for each in theirs] == [each.keys() for each in ours]


def orders(ranking: dict[str, list[dict[str, object]]]) -> tuple[object, list[object]]:
    return ranking["request_id"], [offer["offer_id"] for offer in ranking["offers"]]

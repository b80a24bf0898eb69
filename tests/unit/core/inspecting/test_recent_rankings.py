"""What the latest rankings say of the ring."""

from stream_scorer.core.inspecting.recent_rankings import WAIT_EDGES_S, RankedBy, recent_rankings
from stream_scorer.core.messages import Ranking


def ranking(release: str = "r-1", at_ms: int = 0, **fields: object) -> Ranking:
    values = {"status": "ranked", "eligible_count": 3, "excluded": {}, "features": {}, "offers": [], **fields}
    return Ranking(request_id="q", customer_id="ada", event_time_ms=at_ms, release_id=release, **values)  # type: ignore[arg-type]


def test_no_rankings_have_no_figures() -> None:
    assert recent_rankings([], []) is None


def test_waits_are_from_event_to_log() -> None:
    found = recent_rankings([ranking(at_ms=0)] * 9 + [ranking(at_ms=20_000)], [20] * 10)
    assert found is not None
    assert found.waits.p50_s == 0.02
    assert found.waits.counts[:2] == (1, 9)  # a clock that is ahead waits no time
    assert len(found.waits.counts) == len(WAIT_EDGES_S) + 1


def test_long_waits_have_the_last_bar() -> None:
    found = recent_rankings([ranking()], [999_000])
    assert found is not None
    assert found.waits.counts[-1] == 1


def test_releases_have_their_first_and_last() -> None:
    found = recent_rankings([ranking("r-1"), ranking("r-2"), ranking("r-1")], [10, 30, 20])
    assert found is not None
    assert found.releases == (RankedBy("r-2", 1, 30, 30), RankedBy("r-1", 2, 10, 20))
    assert found.since_ms == 10


def test_rules_and_empty_rankings_are_counted() -> None:
    empty = ranking(status="nothing_eligible", excluded={"inactive": 2, "filter": 1})
    found = recent_rankings([empty, ranking(excluded={"filter": 4})], [1, 2])
    assert found is not None
    assert (found.unshown, found.excluded) == (1, (("filter", 5), ("inactive", 2)))

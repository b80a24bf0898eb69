"""What a ranker counts and says of the features that it meets."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from stream_scorer.core.features.coverage import WARNED_ROWS_MIN
from stream_scorer.core.messages import CustomerRequest
from stream_scorer.core.ranking import index_plan
from stream_scorer.core.ranking.encoding import ALL_FEATURES
from stream_scorer.core.ranking.recall import JUDGED_REQUESTS_MIN, Recall
from stream_scorer.core.releases.release import Release
from stream_scorer.ports import Fetched
from stream_scorer.services.streaming.ranker import IndexWatch, RankConfig, Ranker
from tests.doubles import SilentTelemetry
from tests.index_worlds import CLUSTERS, centres, clustered, indexed
from tests.ranking_worlds import TOPICS, record_of, release_of
from tests.release_samples import change, indexed_release, model, offer, release, reranked_model
from tests.reranking_samples import network


class OneRelease:
    """See Releases: always the same."""

    def __init__(self, held: Release) -> None:
        self.held = held

    def current(self) -> Release:
        """See Releases."""
        return self.held


RELEASES = OneRelease(release(model(1), [offer(1)]))


def rank(*batches: list[dict[str, Any]], written: bool = True) -> tuple[SilentTelemetry, list[Any]]:
    telemetry = SilentTelemetry()
    config = RankConfig(TOPICS, "dead-letters", ALL_FEATURES, 10_000)
    ranker = Ranker(RELEASES, lambda: None, config, telemetry=telemetry)
    with capture_logs() as logs:
        for rows in batches:
            requests = [CustomerRequest(f"r{n}", f"c{n}", 5, features) for n, features in enumerate(rows)]
            work = ranker.process(Fetched([record_of(request, offset=n) for n, request in enumerate(requests)]))
            if written and work is not None:
                ranker.written(work)
    return telemetry, [entry for entry in logs if entry["event"] == "features_missing"]


def test_features_count_once_their_batch_is_written() -> None:
    telemetry, _ = rank([{"price": 1.0, "colour": "red"}, {"Price": 1.0, "colour": None}], [])
    (counted,) = telemetry.coverages
    assert (counted.rows, counted.missing, counted.unknown_values) == (2, {"price": 1, "colour": 1}, 1)


def test_an_unwritten_batch_is_not_counted() -> None:
    assert rank([{"price": 1.0}], written=False)[0].coverages == []


def test_mostly_missing_features_warn_once_a_release() -> None:
    rows: list[dict[str, Any]] = [{"Price": 1.0, "colour": "red"}] * WARNED_ROWS_MIN
    (warning,) = rank(rows[:4], rows[4:], rows)[1]
    assert (warning["missing"], warning["unknown"]) == ({"price": len(rows)}, ["Price"])


def test_few_requests_or_half_missing_warn_nothing() -> None:
    whole: dict[str, Any] = {"price": 1.0, "colour": "red"}
    assert rank([{}] * (WARNED_ROWS_MIN - 1))[1] == []
    assert rank([{"colour": "red"}, whole] * WARNED_ROWS_MIN)[1] == []


def test_letters_have_the_headers_asked_for() -> None:
    config = RankConfig(TOPICS, "dead-letters", ALL_FEATURES, 10_000, letter_headers="connect")
    ranker = Ranker(RELEASES, lambda: None, config, telemetry=SilentTelemetry())
    work = ranker.process(Fetched([record_of(b"{", offset=0)]))
    assert work is not None
    assert "__connect.errors.topic" in dict(work.outputs[0].headers)


def test_shortlists_are_as_long_as_set() -> None:
    # a re-ranker that never has the towers' first for its own
    held = release(reranked_model(1, network(seed=4)), [offer(number) for number in range(5)])
    config = RankConfig(TOPICS, "dead-letters", ALL_FEATURES, 10_000, shortlist=1)
    ranker = Ranker(OneRelease(held), lambda: None, config, telemetry=SilentTelemetry())
    work = ranker.process(Fetched([record_of(CustomerRequest("r1", "c1", 5, {"price": 3.0}, limit=1), offset=0)]))
    assert work is not None
    (best,) = msgspec.json.decode(work.outputs[0].value or b"")["offers"]
    assert best["tower_rank"] == 1


def index_watch(*recalls: Recall, recall_min: float = 0.99) -> tuple[IndexWatch, SilentTelemetry, list[Any]]:
    telemetry = SilentTelemetry()
    watch = IndexWatch(recall_min, telemetry)
    with capture_logs() as logs:
        watch.takes(RELEASES.held)
        for recall in recalls:
            watch.ranked(recall)
            watch.written()
            watch.written()
    return watch, telemetry, [entry for entry in logs if entry["event"] == "index_recall_low"]


def test_low_recall_gives_an_index_up() -> None:
    watch, telemetry, warnings = index_watch(Recall(1_800, 2_000, 200), Recall(1_800, 2_000, 200))
    assert watch.failed
    assert telemetry.index_faults == [None, "recall_low"]
    assert len(telemetry.recalls) == 2
    assert [(entry["recall"], entry["sampled"]) for entry in warnings] == [(0.9, 200)]


def test_the_next_release_is_judged_afresh() -> None:
    watch, telemetry, _ = index_watch(Recall(1_800, 2_000, 200))
    watch.takes(release(model(2), [offer(1)]))
    assert not watch.failed
    assert telemetry.index_faults[-1] is None


def test_a_good_past_hides_no_decline() -> None:
    good = [Recall(10_000, 10_000, 1_000)] * 20
    assert not index_watch(*good)[0].failed
    assert index_watch(*good, Recall(1_800, 2_000, 200))[0].failed


def test_an_aborted_batch_measures_nothing() -> None:
    watch, telemetry, _ = index_watch()
    watch.ranked(Recall(0, 2_000, 200))
    watch.ranked(Recall())
    watch.written()
    assert (watch.failed, telemetry.recalls) == (False, [])


def test_an_outgrown_index_is_said_once() -> None:
    made = model(1)
    held = indexed_release(made, [offer(number) for number in range(9)])
    grown = replace(held, catalog=held.catalog.with_changes([change(made, offer(3, features={"price": -9.0}), 1)]))
    telemetry = SilentTelemetry()
    watch = IndexWatch(0.99, telemetry)
    with capture_logs() as logs:
        for each in (held, grown, grown):
            watch.takes(each)
    assert [(entry["event"], entry["not_in_index"]) for entry in logs] == [("index_outgrown", 1)]
    assert telemetry.index_faults == [None, "outgrown"]


def test_rankings_are_exact_after_low_recall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_plan, "INDEX_OFFERS_MIN", 1)
    catalog, lists = indexed(clustered())
    lists.blind = [row for row in range(len(catalog)) if row // CLUSTERS % 2]
    telemetry = SilentTelemetry()
    config = RankConfig(TOPICS, "dead-letters", ALL_FEATURES, 100_000, recall_min=0.99, recall_every=1)
    ranker = Ranker(OneRelease(release_of(catalog, centres())), lambda: None, config, telemetry=telemetry)
    records = [
        record_of(CustomerRequest(f"r{n}", f"c{n % CLUSTERS}", 5, {}), offset=n) for n in range(JUDGED_REQUESTS_MIN)
    ]
    for _ in range(2):
        work = ranker.process(Fetched(records))
        assert work is not None
        ranker.written(work)
    assert lists.searched == JUDGED_REQUESTS_MIN
    assert len(telemetry.recalls) == 1

"""What a ranker counts and says of the features that it meets."""

from typing import Any

from structlog.testing import capture_logs

from stream_scorer.core.features.coverage import WARNED_ROWS_MIN
from stream_scorer.core.messages import CustomerRequest
from stream_scorer.core.ranking.encoding import ALL_FEATURES
from stream_scorer.core.releases.release import Release
from stream_scorer.ports import Fetched
from stream_scorer.services.streaming.ranker import RankConfig, Ranker
from tests.doubles import SilentTelemetry
from tests.ranking_worlds import TOPICS, record_of
from tests.release_samples import model, offer, release


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

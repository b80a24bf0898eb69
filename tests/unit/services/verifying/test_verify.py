"""What the verdict counts and tolerates."""

from dataclasses import replace

import pytest
from msgspec import structs

from stream_scorer.core.records import Partition, Position
from stream_scorer.services.verifying.verify import Report
from tests.verify_ring import CONFIG, START_MS, TOPICS, Ring, acceptance, ranking, ring

__all__ = ["ring"]


def test_a_ring_that_is_right_passes(ring: Ring) -> None:
    report = ring.verify()
    assert report.faults == {}
    assert report.records == {
        "customer-requests": 4, "acceptances": 6, "rankings": 3, "outcomes": 5, "training-labels": 3, "dead-letters": 3,
    }  # fmt: skip
    assert report.dead_letters == {
        "acceptances: not_json": 1,
        "customer-requests: not_json": 1,
        "outcomes: unknown_request": 1,
    }
    assert (report.rows, report.unsettled) == (8, {})


def test_health_is_reckoned_from_what_is_right(ring: Ring) -> None:
    health = ring.verify().health
    assert health.joined_share == pytest.approx(4 / 6)
    assert health.orphans == {"not_json": 1, "unknown_request": 1}
    assert health.causes == {"accepted": 1, "declined": 1, "late_acceptance": 1, "window_closed": 3}
    assert health.negatives_per_positive == pytest.approx(2.0)
    assert health.acceptance_rate == {"rel": 1.0}
    assert health.delay_ms["p50"] == 10


def test_unsettled_records_are_no_fault() -> None:
    ring = Ring()
    ring.settle()
    ring.append(TOPICS.requests, {"request_id": "r1"})
    ring.append(TOPICS.acceptances, acceptance("r1", "o1", 1, accepted=True))
    ring.append(TOPICS.rankings, ranking("r0", START_MS))
    report = ring.verify()
    assert report.unsettled == {"customer-requests": 1, "acceptances": 1, "rankings": 1}
    assert set(report.faults) == {"request_unknown"}


def test_an_open_window_owes_no_negatives() -> None:
    ring = Ring()
    ring.ask("r1")
    ring.accept("r1", "o1")
    ring.settle(later_ms=0)
    assert ring.verify().faults == {}


@pytest.mark.parametrize("now", [0.1, 1.0])
def test_rows_are_judged_by_their_own_sampling(ring: Ring, now: float) -> None:
    ring.fill(keep_prob=0.5)
    assert ring.verify(replace(CONFIG, keep_prob=now)).faults == {}
    assert ring.buffer is not None
    sampled = next(row for row in ring.buffer.chunks[0].rows if row.keep_prob == 0.5)
    ring.buffer.chunks[0] = replace(
        ring.buffer.chunks[0], rows=[row for row in ring.buffer.chunks[0].rows if row is not sampled]
    )
    assert set(ring.verify(replace(CONFIG, keep_prob=now)).faults) == {"rows_missing"}


def test_at_least_once_tolerates_doubles_alone(ring: Ring) -> None:
    ring.append("rankings", ring.log("rankings")[0].value or b"")
    ring.settle()
    report = ring.verify(replace(CONFIG, exactly_once=False))
    assert (report.passed, report.tolerated) == (True, {"request_doubled": 1})


def test_aborted_records_are_counted_and_harm_nobody(ring: Ring) -> None:
    ring.append("rankings", ring.log("rankings")[0].value or b"")
    ring.aborted.add(("rankings", 3))
    report = ring.verify()
    assert (report.passed, report.aborted) == (True, {"rankings": 1})


def test_examples_are_few_and_counts_are_whole() -> None:
    ring = Ring()
    for number in range(20):
        ring.append(TOPICS.requests, {"request_id": f"r{number}"})
    ring.settle()
    report = ring.verify(replace(CONFIG, examples_max=3))
    assert (report.faults, len(report.examples["request_lost"])) == ({"request_lost": 20}, 3)


@pytest.mark.parametrize(("digest", "faults"), [(None, set()), (b"0" * 64, {"dead_letter_altered"})])
def test_truncated_letters_are_judged_by_digest(digest: bytes | None, faults: set[str]) -> None:
    ring = Ring()
    ring.refuse(ring.append(TOPICS.requests, b" " * 1_000_001))
    if digest is not None:
        letter = ring.log(TOPICS.dead_letters).pop()
        headers = {**dict(letter.headers), "value.sha256": digest}
        ring.log(TOPICS.dead_letters).append(structs.replace(letter, headers=list(headers.items())))
    ring.settle()
    assert set(ring.verify().faults) == faults


@pytest.mark.parametrize(("topic", "group", "markers"), [("rankings", "join", 1), ("customer-requests", "rank", 0)])
def test_only_markers_may_expire_unread(ring: Ring, topic: str, group: str, markers: int) -> None:
    place = Partition(topic, 0)
    for gone in (0, markers, markers + 1):
        ring.broker.committed[group, place] = Position(1)
        ring.broker.oldest[place] = 1 + gone
        assert ("records_expired_unread" in ring.verify().faults) == (gone > markers)


def not_checked(report: Report) -> dict[str, int]:
    return {reason: count for check in report.checks for reason, count in check.not_checked.items()}


def test_another_programs_metadata_is_no_clock(ring: Ring) -> None:
    ring.broker.committed["join", Partition("rankings", 0)] = Position(3, "another program's")
    assert not_checked(ring.verify())["partitions whose watermark no joiner has committed"] == 1


def test_letters_about_expired_records_go_unchecked(ring: Ring) -> None:
    ring.broker.oldest[Partition("acceptances", 0)] = 6
    reason = "about records that are gone, or of topics that are not checked"
    assert (not_checked(ring.verify())[reason], reason in not_checked(Ring().verify())) == (1, False)


def test_records_sent_again_are_no_doubles(ring: Ring) -> None:
    refused = ring.append(
        TOPICS.requests,
        {"request_id": "r5", "customer_id": "c", "event_time_ms": START_MS + 5, "features": {"age": 3}},
    )
    ring.refuse(refused, "feature_kind")
    ring.append(TOPICS.requests, refused.value or b"")
    ring.append(TOPICS.rankings, ranking("r5", START_MS + 5))
    (orphan,) = [record for record in ring.log(TOPICS.outcomes) if b'"r9"' in (record.value or b"")]
    ring.append(TOPICS.acceptances, orphan.value or b"")
    ring.append(TOPICS.outcomes, orphan.value or b"")
    ring.settle()
    ring.fill()
    assert ring.verify().faults == {}

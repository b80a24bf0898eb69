"""Every kind of fault, planted in a ring that is right, and found."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from msgspec import structs

from stream_scorer.adapters.memory.buffer import MemoryBuffer
from stream_scorer.core.records import Partition, Position, Record
from tests.verify_ring import START_MS, Ring, acceptance, ranking, ring

__all__ = ["ring"]

Plant = Callable[[Ring], object]


def again(topic: str, place: int = 0) -> Plant:
    return lambda ring: ring.append(topic, ring.log(topic)[place].value or b"")


def set_label(place: int, offer: int, accepted: int | None, cause: str | None) -> Plant:
    return lambda ring: ring.relabel(place, lambda value: value["offers"][offer].update(accepted=accepted, cause=cause))


def set_value(place: int, **fields: object) -> Plant:
    return lambda ring: ring.relabel(place, lambda value: value.update(fields))


def without(topic: str, place: int) -> Plant:
    """Make a record one that no reader sees."""
    return lambda ring: ring.aborted.add((topic, place))


def drop_rows(ring: Ring) -> None:
    assert ring.buffer is not None
    ring.buffer.chunks[0] = replace(ring.buffer.chunks[0], rows=ring.buffer.chunks[0].rows[1:])


def double_rows(ring: Ring) -> None:
    assert ring.buffer is not None
    ring.buffer.chunks[0] = replace(
        ring.buffer.chunks[0], rows=[*ring.buffer.chunks[0].rows, ring.buffer.chunks[0].rows[0]]
    )


def change_row(ring: Ring) -> None:
    assert ring.buffer is not None
    first, *rest = ring.buffer.chunks[0].rows
    ring.buffer.chunks[0] = replace(ring.buffer.chunks[0], rows=[first._replace(score=0.25), *rest])


def add_row(ring: Ring) -> None:
    assert ring.buffer is not None
    rows = ring.buffer.chunks[0].rows
    ring.buffer.chunks[0] = replace(ring.buffer.chunks[0], rows=[*rows, rows[0]._replace(request_id="r7")])


def answer_unranked(ring: Ring) -> None:
    ring.accept("r1", "o7")
    ring.settle()
    ring.aborted.add(("dead-letters", 3))


def rank_nonsense(ring: Ring) -> None:
    ring.append("rankings", b"{")
    ring.settle()
    ring.aborted.add(("dead-letters", 3))


def leave_open(ring: Ring) -> None:
    """Let a window close whose offers all were answered, and no final word be said."""
    ring.clock.set(START_MS + 20_000)
    ring.ask("r3", START_MS + 20_000)
    for offer in ("o1", "o2", "o3"):
        ring.accept("r3", offer, START_MS + 20_010)
    ring.settle()
    ring.relabel(3, lambda value: value.update(final=False))


def foresee(ring: Ring) -> None:
    """Write a label from an outcome that the joiner has not read."""
    ring.accept("r2", "o1", START_MS + 20)
    ring.relabel(1, lambda value: value["offers"][0].update(accepted=1, cause="accepted", label_time_ms=START_MS + 20))


def refuse_answer(ring: Ring) -> None:
    ring.accept("r2", "o1", START_MS + 20)
    ring.refuse(ring.log("outcomes")[-1], "unknown_request")


def refuse_request(code: str) -> Plant:
    value = {"request_id": "r5", "customer_id": "c", "event_time_ms": START_MS, "features": {}}
    return lambda ring: ring.refuse(ring.append("customer-requests", value), code)


def rewrite(topic: str, place: int, **fields: object) -> Plant:
    return lambda ring: ring.rewrite(topic, place, **fields)


def lose_file(ring: Ring) -> None:
    ring.buffer = MemoryBuffer()


def lose_last_file(ring: Ring) -> None:
    assert ring.buffer is not None
    ring.buffer.chunks[0] = replace(ring.buffer.chunks[0], next=2, rows=ring.buffer.chunks[0].rows[:5])


def expire_labels(ring: Ring) -> None:
    """Let retention take labels that no file has."""
    assert ring.buffer is not None
    ring.buffer.chunks[0] = replace(ring.buffer.chunks[0], next=1, rows=[])
    ring.broker.oldest[Partition("training-labels", 0)] = 3


def expire(topic: str, count: int, group: str) -> Plant:
    """Let retention take records of which the reader has committed one only."""

    def plant(ring: Ring) -> None:
        ring.broker.oldest[Partition(topic, 0)] = count
        ring.broker.committed[group, Partition(topic, 0)] = Position(1)

    return plant


def refuse_nothing(topic: str, partition: int, offset: int) -> Plant:
    return lambda ring: ring.refuse(Record(topic, partition, offset, None, b"{", 0), "not_json")


FAULTS: list[tuple[str, Plant]] = [
    ("outcome_refused", refuse_answer),
    ("dead_letter_wrong", refuse_request("not_json")),
    ("dead_letter_wrong", refuse_request("missing_field")),
    ("dead_letter_wrong", lambda ring: ring.refuse(ring.log("rankings")[1], "bad_ranking")),
    ("dead_letter_wrong", lambda ring: ring.refuse(ring.log("training-labels")[1], "not_json")),
    ("dead_letter_unknown", refuse_nothing("customer-requests", 0, 1_000_000)),
    ("dead_letter_unknown", refuse_nothing("customer-requests", 9, 0)),
    ("dead_letter_unknown", refuse_nothing("elsewhere", 0, 0)),
    ("dead_letter_unknown", refuse_nothing("else\0where", 0, 0)),
    ("request_mismatched", rewrite("rankings", 0, customer_id="d")),
    ("request_mismatched", rewrite("rankings", 0, event_time_ms=START_MS + 1)),
    ("request_mismatched", rewrite("rankings", 0, features={"age": 4})),
    ("request_mismatched", rewrite("customer-requests", 0, offers=["o1", "o2"])),
    ("request_mismatched", rewrite("customer-requests", 0, offers=[])),
    ("request_mismatched", rewrite("customer-requests", 0, exclude=["o3"])),
    ("request_mismatched", rewrite("customer-requests", 0, limit=2)),
    ("acceptance_mismatched", rewrite("outcomes", 0, customer_id="d")),
    ("acceptance_mismatched", rewrite("outcomes", 0, request_time_ms=5)),
    ("buffer_file_gone", lose_file),
    ("buffer_file_gone", lose_last_file),
    ("records_expired_unread", expire("customer-requests", 3, "rank")),
    ("records_expired_unread", expire("outcomes", 3, "join")),
    ("records_expired_unread", expire_labels),
    ("record_unreadable", lambda ring: ring.append("training-labels", b"no label")),
    ("record_unreadable", lambda ring: ring.append("training-labels", b"")),
    ("request_lost", lambda ring: ring.gone.add(("rankings", 0))),
    ("request_torn", without("rankings", 0)),
    ("request_torn", without("rankings", 2)),
    ("request_lost", without("dead-letters", 0)),
    ("request_doubled", again("rankings")),
    ("request_doubled", lambda ring: ring.refuse(ring.log("customer-requests")[0])),
    ("request_unknown", lambda ring: ring.append("rankings", ranking("r8", START_MS))),
    ("acceptance_lost", lambda ring: ring.gone.add(("outcomes", 1))),
    ("acceptance_torn", without("outcomes", 1)),
    ("acceptance_doubled", again("outcomes", 2)),
    ("acceptance_unknown", lambda ring: ring.append("outcomes", acceptance("r1", "o1", 3, accepted=True))),
    ("outcome_uncounted", without("dead-letters", 2)),
    ("outcome_uncounted", answer_unranked),
    ("dead_letter_doubled", lambda ring: ring.refuse(ring.log("acceptances")[5])),
    (
        "dead_letter_altered",
        lambda ring: ring.log("dead-letters").append(structs.replace(ring.log("dead-letters").pop(), value=b"other")),
    ),
    ("dead_letter_of_aborted", without("acceptances", 5)),
    ("dead_letter_unknown", lambda ring: ring.gone.add(("acceptances", 5))),
    ("dead_letter_unreadable", lambda ring: ring.append("dead-letters", b"x")),
    ("record_unreadable", rank_nonsense),
    ("label_missing", without("training-labels", 1)),
    ("label_wrong", set_label(2, 0, 0, "declined")),
    ("label_wrong", set_label(1, 2, 1, "accepted")),
    ("label_wrong", set_label(1, 1, None, None)),
    ("label_wrong", set_value(1, final=False)),
    ("label_wrong", leave_open),
    ("label_wrong", foresee),
    ("label_altered", set_value(0, release_id="other")),
    ("label_altered", set_value(0, features={"age": 4.0})),
    ("label_unknown", set_value(0, request_id="r6")),
    ("label_of_aborted_ranking", without("rankings", 0)),
    ("revision_doubled", again("training-labels", 2)),
    ("revision_skipped", set_value(2, revision=3)),
    ("rows_missing", drop_rows),
    ("rows_doubled", double_rows),
    ("rows_differ", change_row),
    ("rows_unknown", add_row),
]


@pytest.mark.parametrize(("kind", "plant"), FAULTS, ids=[f"{kind}-{place}" for place, (kind, _) in enumerate(FAULTS)])
def test_a_planted_fault_is_found(ring: Ring, kind: str, plant: Plant) -> None:
    plant(ring)
    report = ring.verify()
    assert not report.passed
    assert kind in report.faults
    assert report.examples[kind]

"""The doctor's check of the ring's state: whether it can go on with the present topics and settings."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stream_scorer.errors import NotReady, StreamScorerError, TransientError, UsageError
from stream_scorer.ports import LogReader, ReleaseReader, TrainingBuffer
from stream_scorer.services.operating.doctor import Finding
from stream_scorer.services.streaming.ring_check import Standing

ADOPT = "stop rank and join, and run stream-scorer topics --adopt"


@dataclass(frozen=True, slots=True)
class RingState:
    """What the ring's state was made with, to compare with what is there now.

    `standing` compares the joiners' committed state; the buffer and the releases each note the id of the topic that
    they were filled from.
    """

    standing: Callable[[], Standing]
    reader: LogReader
    buffer: TrainingBuffer | None
    releases: ReleaseReader
    labels: str
    offers: str


def ring_findings(ring: RingState) -> Iterator[Finding]:
    """Yield what keeps the ring from going on; what is missing altogether is a finding of other checks."""
    for look in (_joined, _buffered, _refreshed):
        try:
            yield from look(ring)
        except NotReady:
            continue
        except UsageError as error:
            yield Finding("ring", "fault", str(error), ADOPT)
        except StreamScorerError as error:
            yield Finding("ring", "warning", f"the ring was not compared with its state: {error}", "run doctor again")


def _joined(ring: RingState) -> Iterator[Finding]:
    stands = ring.standing()
    if stands.grown:
        yield Finding("ring", "warning", stands.grown, "let the ring drain, then " + ADOPT)
    else:
        yield Finding(
            "ring", "ok", f"{stands.shape.partitions} partitions, with the settings by which its state was made"
        )


def _buffered(ring: RingState) -> Iterator[Finding]:
    if ring.buffer is None:
        return
    try:
        stated = ring.buffer.topic_id(ring.labels)
    except (TransientError, UsageError) as error:
        yield Finding("buffer", "fault", str(error), "put buffer.folder right, or bring back what it names")
        return
    now = _topic_id(ring, ring.labels)
    if stated and now and stated != now:
        says = f"{ring.labels} was made anew (id {now}) since the buffer's files were written (id {stated})"
        yield Finding("buffer", "fault", says, "set buffer.folder to a new folder, and train on both")


def _refreshed(ring: RingState) -> Iterator[Finding]:
    current = ring.releases.current()
    stated, now = "" if current is None else ring.releases.applied_topic(current), _topic_id(ring, ring.offers)
    if stated and now and stated != now:
        says = f"{ring.offers} was made anew (id {now}): release {current} has offers of the one before (id {stated})"
        yield Finding("refresh", "warning", says, "stream-scorer refresh, which reads the topic from its start")


def _topic_id(ring: RingState, topic: str) -> str:
    shape = ring.reader.topics([topic]).get(topic)
    return "" if shape is None else shape.topic_id

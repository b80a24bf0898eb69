"""What the joins of a partition keep, write and remember beside an offset."""

import json
from dataclasses import astuple, dataclass
from typing import Protocol

from stream_scorer.core.joining.event_time import NO_TIME, Clocks
from stream_scorer.core.messages import Acceptance
from stream_scorer.core.records import OutputRecord, Record
from stream_scorer.core.wire.letter_headers import Headers


@dataclass(frozen=True, slots=True)
class Waiting:
    """An outcome that no open request can use: its ranking has not come, or it is too late for it."""

    record: Record
    acceptance: Acceptance


@dataclass(frozen=True, slots=True)
class RestorePoint:
    """Where the state of a partition begins in its three topics, and the clocks; travels as the offset's metadata.

    Outcomes before the offset `shed` wait no more: those that had to were dropped as dead letters.
    """

    clocks: Clocks
    rankings: int
    outcomes: int
    labels: int
    shed: int = 0

    def to_text(self) -> str:
        """Return the metadata string."""
        *times, appended_ms = astuple(self.clocks)
        numbers = [*times, self.rankings, self.outcomes, self.labels, appended_ms, self.shed]
        return json.dumps([1, *numbers], separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> "RestorePoint":
        """Read a metadata string; earlier versions wrote fewer numbers. Raises ValueError for one that is not ours."""
        version, *numbers = json.loads(text)
        if version != 1:
            msg = f"the joiner's offset metadata must be of version 1, got {version!r}"
            raise ValueError(msg)
        later = numbers[7:8]
        return cls(Clocks(*numbers[:4], *later), *numbers[4:7], *numbers[8:])


@dataclass(frozen=True, slots=True)
class ClosePoint:
    """Where the state of a partition begins, and its clocks; travels as the offset's metadata.

    `outcome_appended_ms` is the broker's time of the newest outcome. Outcomes before the offset `shed` wait no more.
    """

    watermark_ms: int
    labelled_ms: int
    rankings: int
    outcomes: int
    labels: int
    outcome_appended_ms: int = NO_TIME
    shed: int = 0

    def to_text(self) -> str:
        """Return the metadata string."""
        return json.dumps(["close", *(getattr(self, name) for name in self.__slots__)], separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> "ClosePoint":
        """Read a metadata string. Raises ValueError for one that is not ours."""
        kind, *numbers = json.loads(text)
        if kind != "close":
            msg = f"the group's positions were written by another way to emit than at_close: {text[:20]!r}"
            raise ValueError(msg)
        return cls(*numbers)


class JoinTopics(Protocol):
    """The names of the join's topics, as the settings give them."""

    @property
    def rankings(self) -> str:
        """Return the topic of the rankings."""

    @property
    def outcomes(self) -> str:
        """Return the topic of the validated acceptances."""

    @property
    def labels(self) -> str:
        """Return the topic of the labels, from which the join restores what it has emitted."""


def label_records(
    topics: JoinTopics, number: int, customer_id: str, value: bytes, headers: Headers = ()
) -> list[OutputRecord]:
    """Return the records that carry one revision of a request's labels from partition `number` of the join.

    They are written in one transaction with the progress, so that a further topic gets exactly the same labels.
    """
    return [OutputRecord(topics.labels, customer_id.encode(), value, headers, number)]

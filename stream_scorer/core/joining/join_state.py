"""What the joins of a partition keep, return and remember beside an offset."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from types import MappingProxyType

import lz4.block

from stream_scorer.core.joining.event_time import Clocks
from stream_scorer.core.joining.label_tally import LabelTally
from stream_scorer.core.joining.labelling import Answers, Label
from stream_scorer.core.messages import Acceptance
from stream_scorer.core.records import DeadLetter, OutputRecord, Record

_NONE_YET: Mapping[int, Answers] = MappingProxyType({})


@dataclass(slots=True)
class OpenRequest:
    """A ranked request whose labels may still change; of one that is erased no more is kept than that it was there.

    `packed` is the ranking, compressed: many are held, for long, and each is read once or twice.
    """

    packed: bytes
    customer_id: str
    time_ms: int
    offers: tuple[str, ...]
    answers: Mapping[int, Answers] = field(default_factory=lambda: _NONE_YET)
    emitted: tuple[Label, ...] = ()
    revision: int = 0
    final: bool = False
    erased: bool = False

    @property
    def ranking(self) -> bytes:
        """Return the ranking as it was read."""
        ranking: bytes = lz4.block.decompress(self.packed) if self.packed else b""
        return ranking

    def erase(self) -> None:
        """Forget all but the time."""
        self.packed, self.customer_id, self.offers, self.answers, self.emitted, self.erased = (
            b"",
            "",
            (),
            _NONE_YET,
            (),
            True,
        )

    def answer(self, place: int, answers: Answers) -> None:
        """Take over what is known of an offer; most requests never get an answer, and share the map that has none."""
        self.answers = {**self.answers, place: answers}

    def place(self, offer_id: str) -> int | None:
        """Return the offer's place in the ranking, None when it was not ranked."""
        return self.offers.index(offer_id) if offer_id in self.offers else None


@dataclass(frozen=True, slots=True)
class Waiting:
    """An outcome that no open request can use: its ranking has not come, or it is too late for it.

    A too late one is settled with the others, after its request is forgotten, so that no restore between can settle it twice.
    """

    record: Record
    acceptance: Acceptance
    too_late: bool = False


@dataclass(frozen=True, slots=True)
class Joined:
    """What one batch of one partition owes."""

    labels: list[OutputRecord]
    dead_letters: list[DeadLetter]
    counts: Counter[str]
    tally: LabelTally


@dataclass(frozen=True, slots=True)
class RestorePoint:
    """Where the state of a partition begins in its three topics, and the watermark; travels as the offset's metadata."""

    clocks: Clocks
    rankings: int
    outcomes: int
    labels: int

    def to_text(self) -> str:
        """Return the metadata string."""
        return json.dumps([1, *astuple(self.clocks), self.rankings, self.outcomes, self.labels], separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> "RestorePoint":
        """Read a metadata string. Raises ValueError for one that is not ours."""
        version, *numbers = json.loads(text)
        if version != 1:
            msg = f"the joiner's offset metadata must be of version 1, got {version!r}"
            raise ValueError(msg)
        return cls(Clocks(*numbers[:4]), *numbers[4:])


@dataclass(frozen=True, slots=True)
class JoinTopics:
    """The names of the join's topics."""

    rankings: str
    outcomes: str
    labels: str

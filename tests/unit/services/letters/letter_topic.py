"""A topic of dead letters in memory, and whose records may be sent again where."""

from collections.abc import Iterator
from contextlib import contextmanager

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.stream import MemoryBroker, MemoryLog, MemorySink
from stream_scorer.core.records import DeadLetter, OutputRecord, Record
from stream_scorer.core.wire.dead_letters import dead_letter_record
from stream_scorer.services.letters.resending import Kind, ResendDoor, ResendRules, Resent, resend
from stream_scorer.services.letters.survey import LetterChoice

LETTERS, REQUESTS, OFFERS, OUTCOMES, ACCEPTANCES = "dead-letters", "requests", "offers", "outcomes", "acceptances"
EVERY = LetterChoice()
TARGETS = {OFFERS: OFFERS, REQUESTS: REQUESTS, OUTCOMES: ACCEPTANCES}


class LetterTopic:
    """A broker with letters, whose resends are in memory as well."""

    def __init__(self, partitions: int = 2) -> None:
        self.clock = HandClock(1_700_000_000_000)
        self.broker = MemoryBroker(partitions, self.clock)
        self.sink = MemorySink(self.broker)
        self._sources = 0

    def refuse(
        self, code: str = "feature_kind", *, topic: str = REQUESTS, value: bytes | None = b"{}", key: bytes = b"k"
    ) -> None:
        """Send a record to a topic, and a letter about it."""
        self.broker.append(OutputRecord(topic, key, value))
        self.refuse_record(self.of(topic, key)[-1], code)

    def refuse_record(self, record: Record, code: str = "feature_kind") -> None:
        self.broker.append(dead_letter_record(DeadLetter(record, code, "why"), LETTERS))

    def of(self, topic: str, key: bytes) -> list[Record]:
        return [record for record in self.broker.topic(topic) if record.key == key]

    def reader(self, group: str = "looks") -> MemoryLog:
        return MemoryLog(self.broker, group)

    def resend(
        self,
        choice: LetterChoice = EVERY,
        *,
        letters_max: int = 100,
        attempts_max: int = 3,
        dry_run: bool = False,
    ) -> Resent:
        @contextmanager
        def door(kind: Kind) -> Iterator[ResendDoor[MemoryLog]]:
            yield ResendDoor(self.reader("-".join(kind)), None if dry_run else self.sink)

        rules = ResendRules(LETTERS, TARGETS, OFFERS, OUTCOMES, attempts_max, letters_max)
        return resend(self.reader(), door, choice, rules)

    def resent(self, topic: str = REQUESTS) -> list[Record]:
        """Return the records of a topic that were sent again."""
        return [record for record in self.broker.topic(topic) if "resend.attempt" in dict(record.headers)]

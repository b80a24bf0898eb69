"""How the offers that letters are about were last stated, in a letter or on their topic since."""

import xxhash

from stream_scorer.core.wire.letter_reading import Letter
from stream_scorer.ports import LogReader
from stream_scorer.services.letters.survey import partitions_of


class NewestOffers:
    """The time and offset of the newest statement of each offer, by a hash of its key."""

    def __init__(self) -> None:
        """Know of no offer."""
        self._stated: dict[int, tuple[int, int]] = {}

    def add(self, letter: Letter) -> None:
        """Take the statement that a letter is about."""
        key, stated = _key(letter.record.key), _stated(letter)
        self._stated[key] = max(stated, self._stated.get(key, stated))

    def read(self, reader: LogReader, topic: str) -> None:
        """Take what the topic of offers says by now of the offers that letters are about."""
        for partition in partitions_of(reader, topic):
            for batch in reader.read(partition, reader.beginning(partition), reader.end(partition)):
                for record in batch:
                    if (known := self._stated.get(key := _key(record.key))) is not None:
                        self._stated[key] = max(known, (record.timestamp_ms, record.offset))

    def supersede(self, letter: Letter) -> bool:
        """Return whether the offer of a letter was stated anew since."""
        return self._stated.get(_key(letter.record.key), _stated(letter)) > _stated(letter)


def _key(key: bytes | None) -> int:
    return xxhash.xxh3_64_intdigest(key or b"")


def _stated(letter: Letter) -> tuple[int, int]:
    return letter.timestamp_ms, letter.offset

"""Dead letters for `verify`, sorted by the record they are about, so that one pass over the topics meets each once."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256

import msgspec
import xxhash

from stream_scorer.core.records import Partition, Record, as_sent
from stream_scorer.core.verifying.judgements import Fault
from stream_scorer.ports import Sorter
from stream_scorer.services.verifying.reading import Snapshot, order_of, place_of


class _JudgedLetter(msgspec.Struct, frozen=True, array_like=True):
    place: str
    code: str
    digest: int
    truncated: bool


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_JudgedLetter).decode


def _source_key(topic: str, partition: int, offset: int) -> str:
    return f"{topic}\0{partition:06d}\0{offset:015d}"


def _digest(record: Record) -> int:
    return xxhash.xxh3_64_intdigest((record.key or b"") + b"\0" + (record.value or b"")) >> 1


def _digest_of_digests(record: Record, headers: Mapping[str, str]) -> int:
    """Return a digest of digests: a truncated letter states that of the key or value it leaves out."""
    parts = {"key": record.key or b"", "value": record.value or b""}
    stated = [headers.get(f"{name}.sha256", sha256(data).hexdigest()) for name, data in parts.items()]
    return xxhash.xxh3_64_intdigest("".join(stated).encode()) >> 1


def _expected(record: Record, letter: _JudgedLetter) -> int:
    sent = as_sent(record)
    return _digest_of_digests(sent, {}) if letter.truncated else _digest(sent)


class DeadLetters:
    """Dead letters in the order of the records that they are about."""

    def __init__(self, sorter: Sorter, snapshot: Snapshot, note: Callable[[Fault], None]) -> None:
        self._sorter, self._snapshot, self._note = sorter, snapshot, note
        self._groups: Iterator[tuple[str, list[bytes]]] = iter(())
        self._next: tuple[str, list[bytes]] | None = None
        self.codes: Counter[tuple[str, str]] = Counter()
        self.sources_expired = 0

    def add(self, records: Iterable[Record]) -> None:
        """Add dead letters; one that does not name its source is a fault."""
        self._sorter.add(row for record in records if (row := self._row(record)) is not None)

    def _row(self, record: Record) -> tuple[str, int, bytes] | None:
        headers = {name: value.decode(errors="replace") for name, value in record.headers}
        place = place_of(record)
        try:
            key = _source_key(headers["source.topic"], int(headers["source.partition"]), int(headers["source.offset"]))
        except (KeyError, ValueError):
            self._note(Fault("dead_letter_unreadable", f"{place} does not name its source"))
            return None
        code = headers.get("error.code") or "no_code"
        self.codes[headers["source.topic"], code] += 1
        truncated = not headers.keys().isdisjoint(("key.truncated", "value.truncated"))
        digest = _digest_of_digests(record, headers) if truncated else _digest(record)
        return key, order_of(record), _pack(_JudgedLetter(place, code, digest, truncated))

    def rewind(self) -> None:
        """Start the pass: `of` may be called from now on."""
        self._groups = self._sorter.groups()
        self._next = next(self._groups, None)

    def of(self, record: Record) -> str | None:
        """Return the code of the dead letter about a record; None: there is none.

        Records must come in the order of topic, partition and offset.
        """
        key = _source_key(record.topic, record.partition, record.offset)
        self._pass_by(key)
        if self._next is None or self._next[0] != key:
            return None
        letters = [_unpack(letter) for letter in self._next[1]]
        self._check(record, letters)
        self._next = next(self._groups, None)
        return letters[0].code

    def finish(self) -> None:
        """Judge the letters that are left: no record that was read is theirs."""
        self._pass_by(None)

    def _pass_by(self, key: str | None) -> None:
        while self._next is not None and (key is None or self._next[0] < key):
            topic, number, offset = self._next[0].rsplit("\0", 2)
            if missing := self._missing(Partition(topic, int(number)), int(offset)):
                letter = _unpack(self._next[1][0])
                about = f"{topic}[{int(number)}]@{int(offset)}"
                self._note(Fault("dead_letter_unknown", f"{letter.place} is about {about}: {missing}"))
            self._next = next(self._groups, None)

    def _missing(self, source: Partition, offset: int) -> str | None:
        """Return why there can be no such record; None where retention or compaction may have removed it."""
        if source not in self._snapshot.ends:
            return "there is no such topic or partition here"
        if offset >= (end := self._snapshot.ends[source]):
            return f"the partition ends at {end}"
        if offset < self._snapshot.beginnings[source] or source.topic not in self._snapshot.walked:
            self.sources_expired += 1
            return None
        return "there is no record at this offset"

    def _check(self, record: Record, letters: Sequence[_JudgedLetter]) -> None:
        about = place_of(record)
        if len(letters) > 1:
            self._note(Fault("dead_letter_doubled", f"{about}: {', '.join(letter.place for letter in letters[:4])}"))
        if any(letter.digest != _expected(record, letter) for letter in letters):
            self._note(Fault("dead_letter_altered", f"{letters[0].place} does not carry the bytes of {about}"))

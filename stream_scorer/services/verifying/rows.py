"""The training buffer's rows compared with those that the labels make due, and its files with what it has committed."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import msgspec
import xxhash

from stream_scorer.core.buffer.buffer_files import Sampled, keep_prob_at
from stream_scorer.core.buffer.erasure import Erasures
from stream_scorer.core.buffer.examples import ExampleRow, take_apart
from stream_scorer.core.messages import LabelledRanking
from stream_scorer.core.records import Partition, Record
from stream_scorer.core.verifying.history import Rows
from stream_scorer.core.verifying.judgements import Fault
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.ports import LogReader, TrainingBuffer
from stream_scorer.services.verifying.history import Sorters

_encode = msgspec.json.Encoder().encode


class RowCheck:
    """Takes in the files' rows first, then the labels of the topic."""

    def __init__(
        self, sorters: Sorters, buffer: TrainingBuffer, reader: LogReader | None, places: Sequence[Partition]
    ) -> None:
        """Read all positions; `reader` is of the buffer's group, None: what it has committed is not known."""
        self._sorters, self._buffer = sorters, buffer
        # positions before files: rows are written before their offsets are committed
        committed = {} if reader is None else reader.committed(places)
        self._committed = {place: position.offset for place, position in committed.items() if position is not None}
        self.ends: Mapping[Partition, int | None] = buffer.ends(places)
        self._erasures: Erasures = buffer.erasures()
        self._keep_prob = 1.0
        self._sampled: Mapping[Partition, Sequence[Sampled]] = {}
        self._unwritten: Counter[Partition] = Counter()
        self.found = 0
        self.due = 0

    def read_files(self, keep_prob: float) -> None:
        """Take in the files' rows; `keep_prob` is the buffer's present setting, for files that state none."""
        self._keep_prob = keep_prob
        for rows in self._buffer.read():
            self.found += len(rows)
            for whose, group in groupby(rows, key=lambda row: (row.request_id, row.customer_id, row.revision)):
                self._put(whose, list(group), found=True, settled=True)
        # after the rows: a file that was written meanwhile is then known as well
        self._sampled = self._buffer.sampled(list(self.ends))

    def expect(self, record: Record) -> None:
        """Take in the rows that a label on the topic makes due."""
        for message in decode_all([record], LabelledRanking).messages:
            place = Partition(record.topic, record.partition)
            known = keep_prob_at(record.offset, self._sampled.get(place, ()))
            rows = self._erasures.kept(take_apart(message, keep_prob=self._keep_prob if known is None else known))
            end = self.ends.get(place) or 0
            if rows:
                whose = (message.request_id, message.customer_id, message.revision)
                self._put(whose, rows, found=False, settled=record.offset < end)
                self.due += len(rows)
            if end <= record.offset < self._committed.get(place, 0):
                # negatives that nobody answered for may have been sampled out; the others are always written
                self._unwritten[place] += sum(row.exposure == "shown" for row in rows)

    def faults(self, beginnings: Mapping[Partition, int]) -> Iterator[Fault]:
        """Yield a fault for each partition whose files end before what the buffer has committed, or what is kept.

        `beginnings` has the oldest offset that retention has left of each partition.
        """
        for place, end in sorted(self.ends.items()):
            if end is not None and end < (oldest := beginnings.get(place, 0)):
                what = f"buffered up to {end}, the oldest label kept is {oldest}"
                yield Fault(
                    "records_expired_unread", f"{place.topic}[{place.number}]: {what}: no file has those between"
                )
        for place, count in sorted((+self._unwritten).items()):
            topic, number = place
            up_to = f"buffered up to {self.ends.get(place) or 0} of {self._committed[place]} that the buffer committed"
            yield Fault("buffer_file_gone", f"{topic}[{number}]: {up_to}: {count} rows of answers are in no file")

    def _put(self, whose: tuple[str, str, int], rows: list[ExampleRow], *, found: bool, settled: bool) -> None:
        total = sum(xxhash.xxh3_64_intdigest(_encode(row)) for row in rows) % 2**63
        key = "\0".join(map(str, whose))
        self._sorters.put(self._sorters.rows, key, 0, Rows(found, settled, len(rows), total))

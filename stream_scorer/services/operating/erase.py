"""erase: make joiners drop what they keep of a customer.

Kafka's records go by retention alone, and the training buffer removes its own rows, those to come included. Joiners are
the only processes that keep customers in memory. They drop them on reading an erasure, which is written into every
partition of `outcomes`, so that a state rebuilt from the topics drops them too.
"""

from collections.abc import Mapping, Sequence

from stream_scorer.core.messages import Erasure
from stream_scorer.core.records import OutputRecord, Partition
from stream_scorer.core.wire.codec import decode_all, encode
from stream_scorer.errors import TransientError
from stream_scorer.ports import Clock, LogReader, RecordFeed

ASK_EVERY_S = 0.25


def send_erasure(
    erasure: Erasure, feed: RecordFeed, reader: LogReader, outcomes: Sequence[Partition]
) -> dict[Partition, int]:
    """Write an erasure into every partition of `outcomes`, and return its offsets.

    Raises TransientError when one of them is not delivered.
    """
    ends = {partition: reader.end(partition) for partition in outcomes}
    key, value = erasure.customer_id.encode(), encode(erasure)
    feed.send([OutputRecord(partition.topic, key, value, partition=partition.number) for partition in outcomes])
    feed.flush()
    if failures := feed.failures():
        raise TransientError(f"the erasure was not delivered: {'; '.join(failures)}; erase again")
    return {partition: _offset_of(erasure, reader, partition, end) for partition, end in ends.items()}


def _offset_of(erasure: Erasure, reader: LogReader, partition: Partition, start: int) -> int:
    # a feed does not report offsets, and another erasure of this customer may have been written meanwhile
    records = [record for batch in reader.read(partition, start, reader.end(partition)) for record in batch]
    written = decode_all(records, Erasure)
    return max(
        record.offset for record, message in zip(written.records, written.messages, strict=True) if message == erasure
    )


def wait_until_read(offsets: Mapping[Partition, int], reader: LogReader, clock: Clock, *, wait_s: float) -> bool:
    """Return whether the joiners have read beyond all these offsets within `wait_s`; true where no joiner ever ran."""
    deadline_s = clock.monotonic_s() + wait_s
    while not _are_read(offsets, reader):
        if clock.monotonic_s() >= deadline_s:
            return False
        clock.sleep(ASK_EVERY_S)
    return True


def _are_read(offsets: Mapping[Partition, int], reader: LogReader) -> bool:
    committed = reader.committed(list(offsets))
    return all(position is None or position.offset > offsets[place] for place, position in committed.items())

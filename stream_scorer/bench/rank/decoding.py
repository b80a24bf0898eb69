"""Measures what reading records costs, kind by kind: no good record should cost much more than its bytes."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from stream_scorer.bench.kinds import ACCEPTANCES, KINDS, PLAIN, records_of
from stream_scorer.core.messages import Acceptance, CustomerRequest
from stream_scorer.core.records import Record
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.errors import StreamScorerError

_BATCH = 256


@dataclass(frozen=True, slots=True)
class DecodingCost:
    """Medians over the rounds; `ratio` is that of processor time per byte to that of plain requests."""

    kind: str
    bytes_per_record: float
    processor_us: float
    ratio: float


def measure_decoding(*, records: int = 2_048, rounds: int = 15) -> list[DecodingCost]:
    """Decode batches of each kind in turn, round by round, in this process."""
    samples = {kind: _as_records(records_of(kind, records)) for kind in KINDS}
    sizes = {kind: sum(len(record.value or b"") for record in sample) / records for kind, sample in samples.items()}
    costs = [{kind: _cost_us(kind, sample) for kind, sample in samples.items()} for _ in range(rounds)]
    return [
        DecodingCost(
            kind,
            sizes[kind],
            median(cost[kind] for cost in costs),
            # Within a round the machine is the same for all kinds, so ratios are taken there.
            median(cost[kind] / cost[PLAIN] for cost in costs) * sizes[PLAIN] / sizes[kind],
        )
        for kind in KINDS
    ]


def _as_records(values: Sequence[bytes]) -> list[Record]:
    return [Record("requests", 0, offset, None, value, 0) for offset, value in enumerate(values)]


def _cost_us(kind: str, records: Sequence[Record]) -> float:
    message_type: Any = Acceptance if kind == ACCEPTANCES else CustomerRequest
    started_s, read = time.process_time(), 0
    for start in range(0, len(records), _BATCH):
        read += len(decode_all(records[start : start + _BATCH], message_type).messages)
    spent_s = time.process_time() - started_s
    if read < len(records):
        raise StreamScorerError(f"{len(records) - read} of {len(records)} records of the kind {kind!r} are refused")
    return spent_s / len(records) * 1e6


def decoding_data(facts: Mapping[str, Any], costs: Sequence[DecodingCost]) -> dict[str, Any]:
    """Return all figures as JSON values."""
    return {"facts": dict(facts), "decoding": [asdict(cost) for cost in costs]}


def decoding_page(facts: Mapping[str, Any], costs: Sequence[DecodingCost]) -> str:
    """Return the figures as a page for people."""
    lines = [", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items()), ""]
    lines.append(f"{'':<20}{'bytes':>8}{'µs':>8}{'a byte, to plain':>20}")
    lines += [
        f"{cost.kind:<20}{cost.bytes_per_record:>8.0f}{cost.processor_us:>8.2f}{cost.ratio:>20.2f}" for cost in costs
    ]
    return "\n".join(lines)

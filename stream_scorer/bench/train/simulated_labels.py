"""Writes labelled rows of the simulated shop to Parquet files, and reads such files as plain columns."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from stream_scorer.core.wire.codec import encode
from stream_scorer.simulation.world import World, customer_id, examination, offer_id

if TYPE_CHECKING:
    import pyarrow as pa

Ints = npt.NDArray[np.int64]

FILE_ROWS = 500_000
_REQUEST_EVERY_MS = 1_000


@dataclass(frozen=True, slots=True)
class Draw:
    """B requests: the customer of each (B,), the k offers shown to it at random (B, k), and the answers (B, k).

    Customers and offers are given as their rows in the world.
    """

    customer: Ints
    shown: Ints
    accepted: npt.NDArray[np.int8]


def draw(world: World, rng: np.random.Generator, requests: int, *, places: int) -> Draw:
    """Draw requests, random rankings and answers as arrays: an object for each row would take too long."""
    customer = rng.integers(len(world.tastes), size=requests)
    shown = np.argsort(rng.random((requests, len(world.appeals)), np.float32), axis=1)[:, :places]
    odds = world.odds(customer, shown) * examination(places)
    return Draw(customer, shown, (rng.random(odds.shape) < odds).astype(np.int8))


def write_labels(
    world: World, rng: np.random.Generator, folder: Path, *, rows: int, places: int, start_ms: int
) -> None:
    """Write `labels/*.parquet` and `offers.jsonl` into a folder; `rows` is rounded up to whole requests."""
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    (folder / "offers.jsonl").write_bytes(b"".join(encode(offer) + b"\n" for offer in world.offers()))
    requests, part = -(-rows // places), FILE_ROWS // places
    for first in range(0, requests, part):
        drawn = draw(world, rng, min(part, requests - first), places=places)
        _write(_table(world, rng, drawn, first, start_ms), folder / "labels" / f"part-{first:09d}.parquet")


def _write(table: "pa.Table", path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, path, compression="zstd")


def _table(world: World, rng: np.random.Generator, drawn: Draw, first: int, start_ms: int) -> "pa.Table":
    import pyarrow as pa

    requests, places = drawn.shown.shape
    number = np.repeat(np.arange(first, first + requests), places)
    customer, offer = np.repeat(drawn.customer, places), drawn.shown.reshape(-1)
    customers = [json.dumps(features) for features in world.customer_features]
    offers = [json.dumps(features) for features in world.offer_features]
    return pa.table(
        {
            "example_id": _hexadecimal(rng, len(number)),
            "revision": np.ones(len(number), np.int64),
            "request_id": pa.array(number).cast(pa.string()),
            "customer_id": _taken([customer_id(row) for row in range(len(customers))], customer),
            "offer_id": _taken([offer_id(row) for row in range(len(offers))], offer),
            "accepted": drawn.accepted.reshape(-1),
            "customer_features": _taken(customers, customer),
            "offer_features": _taken(offers, offer),
            "rank": np.tile(np.arange(1, places + 1), requests),
            "request_time_ms": start_ms + number * _REQUEST_EVERY_MS,
            "exposure": _taken(["shown"], np.zeros(len(number), np.int64)),
        }
    )


def _hexadecimal(rng: np.random.Generator, count: int) -> "pa.Array":
    """Draw random ids as long as those that the join writes: 32 hexadecimal digits each."""
    import pyarrow as pa

    # One buffer holds all digits, and the ends divide it into strings: no Python string is made for each row.
    ends = np.arange(count + 1, dtype=np.int32) * 32
    return pa.StringArray.from_buffers(count, pa.py_buffer(ends), pa.py_buffer(rng.bytes(16 * count).hex().encode()))


def _taken(values: Sequence[str], places: Ints) -> Any:
    import pyarrow as pa

    return pa.array(values).take(pa.array(places))


def read_columns(folder: Path) -> tuple[Ints, Ints, npt.NDArray[np.float32]]:
    """Return customers and offers as numbers from 0, and labels, each (n,): all that a training on ids needs."""
    import pyarrow.parquet as pq

    table = pq.read_table(folder, columns=["customer_id", "offer_id", "accepted"])
    customer, offer = (
        table[name].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
        for name in ("customer_id", "offer_id")
    )
    return customer, offer, table["accepted"].to_numpy().astype(np.float32)

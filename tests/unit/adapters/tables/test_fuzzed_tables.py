"""Whatever is in a file, its readers give values or refuse it with a sentence."""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_scorer.adapters.files.event_files import EventFile
from stream_scorer.adapters.files.example_files import ExampleFiles
from stream_scorer.adapters.files.offer_files import read_offers
from stream_scorer.adapters.files.vector_files import read_vectors
from stream_scorer.adapters.tables.layouts import REQUESTS
from stream_scorer.errors import UsageError

ROWS = [
    {
        "request_id": f"r{at}",
        "customer_id": f"c{at}",
        "offer_id": f"o{at}",
        "accepted": at % 2,
        "event_time_ms": 1_700_000_000_000 + at,
        "revision": 1,
        "rank": 1 + at,
        "propensity": 0.5,
        "example_id": f"{at:032x}",
        "customer_features": json.dumps({"age": at, "likes": ["a"]}),
        "offer_features": '{"price": 1.5}',
        "features": json.dumps({"x": 1.5, "t": ["a", "b"]}),
        "vector": [1.0, 2.0],
    }
    for at in range(4)
]


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), sink)
    return sink.getvalue()


def text() -> bytes:
    return "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def comma_separated() -> bytes:
    quoted = [",".join('"' + str(value).replace('"', '""') + '"' for value in row.values()) for row in ROWS]
    return "\r\n".join([",".join(ROWS[0]), *quoted]).encode()


FILES = {
    "a.parquet": parquet(),
    "a.jsonl": text(),
    "a.jsonl.gz": gzip.compress(text()),
    "a.csv": comma_separated(),
}
READERS: dict[str, Callable[[Path], object]] = {
    "offers": read_offers,
    "labels": lambda path: list(ExampleFiles.at(path).chunks()),
    "requests": lambda path: list(EventFile(path, layout=REQUESTS, key="customer_id")),
    "vectors": lambda path: read_vectors(path, "offer_id"),
}
CHANGES = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.sampled_from([b"", b"\0", b"\xff", b'"', b",", b"\n", b"[", b"{", b"1e999", b"NaN", b"9" * 20]),
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", FILES)
def test_a_whole_file_is_read(tmp_path: Path, name: str, reader: str) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    assert READERS[reader](tmp_path / name)


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from(sorted(FILES)), changes=CHANGES, cut=st.floats(0, 1) | st.just(1.0))
def test_mutated_files_are_read_or_refused(name: str, changes: list[tuple[float, bytes]], cut: float) -> None:
    data = bytearray(FILES[name])
    for share, piece in changes:
        at = int(share * len(data))
        data[at : at + max(1, len(piece))] = piece
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data[: int(cut * len(data))])
        for read in READERS.values():
            try:
                read(path)
            except UsageError as refused:
                assert name in str(refused)  # noqa: PT017  either way is right

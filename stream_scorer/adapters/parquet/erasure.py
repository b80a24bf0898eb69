"""Forgetting customers in the training buffer's files.

`_erasures.json` in the folder lists whom, by salted hash. It is written before any file is gone through; whoever writes
a file of rows reads it before and after, and writes again when it has changed. So no order of events brings a row back.
"""

import secrets
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stream_scorer.adapters.files.folders import Folder
from stream_scorer.core.buffer.buffer_files import files_of
from stream_scorer.core.buffer.erasure import Erasures

PATH = "_erasures.json"


def read_erasures(folder: Folder) -> Erasures:
    """Return who is to be forgotten; nobody when there is no list."""
    data = folder.find(PATH)
    return Erasures() if data is None else Erasures.from_bytes(data.to_pybytes())


def write_kept(folder: Folder, write: Callable[[Erasures], None]) -> None:
    """Write rows that may stay, again when somebody is erased meanwhile."""
    before = read_erasures(folder)
    while True:
        write(before)
        if (after := read_erasures(folder)) == before:
            return
        before = after


def kept_table(table: pa.Table, erasures: Erasures) -> pa.Table:
    """Return the rows of a table that may stay."""
    if not erasures.erased_ms:
        return table
    for customer in pc.unique(table["customer_id"]).to_pylist():
        if erasures.cover(customer, 0):
            erased_ms = erasures.until(customer)
            theirs = pc.and_(
                pc.equal(table["customer_id"], customer), pc.less_equal(table["request_time_ms"], erased_ms)
            )
            table = table.filter(pc.invert(theirs))
    return _encoded_anew(table)


def _encoded_anew(table: pa.Table) -> pa.Table:
    # a filtered dictionary column still carries the words of the rows that went, and would write them into the file
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(place, field, table.column(place).cast(field.type.value_type).cast(field.type))
    return table


def erase(folder: Folder, customer_id: str, now_ms: int) -> dict[str, int]:
    """See TrainingBuffer.erase. One at a time."""
    known = read_erasures(folder)
    known = known if known.salt else Erasures(secrets.token_hex(16))
    folder.write(PATH, known.with_customer(customer_id, now_ms).to_bytes())
    removed = {path: _rewrite(folder, path) for path in rows_of(folder, customer_id)}
    return {path: count for path, count in removed.items() if count}


def _rewrite(folder: Folder, path: str) -> int:
    table = folder.table(path)
    left = kept_table(table, read_erasures(folder))
    if left.num_rows < table.num_rows:
        sink = pa.BufferOutputStream()
        pq.write_table(left, sink, compression="zstd")
        folder.write(path, sink.getvalue().to_pybytes())
    return int(table.num_rows - left.num_rows)


def rows_of(folder: Folder, customer_id: str) -> dict[str, int]:
    """See TrainingBuffer.rows_of; files that compaction has replaced and that a kill left behind count too."""
    counts = {file.path: _count(folder, file.path, customer_id) for file in files_of(folder.paths())}
    return {path: count for path, count in counts.items() if count}


def _count(folder: Folder, path: str, customer_id: str) -> int:
    customers = folder.table(path, ["customer_id"])["customer_id"]
    return int(pc.sum(pc.equal(customers, customer_id)).as_py() or 0)

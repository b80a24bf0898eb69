"""Forgets customers in the training buffer's files.

`_erasures.json` in the folder lists the erased customers by salted hash. An erasure writes this list before it rewrites
any file of rows. Every writer of a file of rows reads the list before and after writing, and writes again when the list
has changed in between. So an erased row cannot return, in whatever order the two happen.
"""

import secrets
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stream_scorer.adapters.files.folders import Folder
from stream_scorer.adapters.parquet.rows import in_our_types
from stream_scorer.core.buffer.buffer_files import files_of
from stream_scorer.core.buffer.erasure import Erasures

PATH = "_erasures.json"


def read_erasures(folder: Folder) -> Erasures:
    """Return the customers to forget; none where there is no list."""
    data = folder.find(PATH)
    return Erasures() if data is None else Erasures.from_bytes(data.to_pybytes())


def write_kept(folder: Folder, write: Callable[[Erasures], None]) -> None:
    """Call `write` with the current erasures, and again for as long as somebody was erased meanwhile."""
    before = read_erasures(folder)
    while True:
        write(before)
        if (after := read_erasures(folder)) == before:
            return
        before = after


def kept_table(table: pa.Table, erasures: Erasures) -> pa.Table:
    """Return the rows of a table that no erasure covers; an erasure covers requests up to its own time."""
    if not erasures.erased_ms:
        return table
    # The list has only hashes, so customers are hashed to be looked up: each of them once, not each of their rows.
    for customer in pc.unique(table["customer_id"]).to_pylist():
        if erasures.cover(customer, 0):  # time 0 asks whether the customer is on the list at all
            erased_ms = erasures.until(customer)
            theirs = pc.and_(
                pc.equal(table["customer_id"], customer), pc.less_equal(table["request_time_ms"], erased_ms)
            )
            table = table.filter(pc.invert(theirs))
    return _encoded_anew(table)


def _encoded_anew(table: pa.Table) -> pa.Table:
    # A filtered dictionary column keeps the values of the removed rows in its dictionary, and would write them to disk.
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(place, field, table.column(place).cast(field.type.value_type).cast(field.type))
    return table


def erase(folder: Folder, customer_id: str, now_ms: int) -> dict[str, int]:
    """See TrainingBuffer.erase. Never run two at a time: the later would overwrite the list of the earlier."""
    known = read_erasures(folder)
    # The first erasure chooses the salt, which must stay, or no earlier hash would match again.
    known = known if known.salt else Erasures(secrets.token_hex(16))
    folder.write(PATH, known.with_customer(customer_id, now_ms).to_bytes())
    removed = {path: _rewrite(folder, path) for path in rows_of(folder, customer_id)}
    return {path: count for path, count in removed.items() if count}


def _rewrite(folder: Folder, path: str) -> int:
    table = in_our_types(path, folder.table(path))
    left = kept_table(table, read_erasures(folder))
    if left.num_rows < table.num_rows:
        sink = pa.BufferOutputStream()
        pq.write_table(left, sink, compression="zstd")
        folder.write(path, sink.getvalue().to_pybytes())
    return int(table.num_rows - left.num_rows)


def rows_of(folder: Folder, customer_id: str) -> dict[str, int]:
    """See TrainingBuffer.rows_of. Files that compaction has replaced count too, for as long as they exist."""
    counts = {file.path: _count(folder, file.path, customer_id) for file in files_of(folder.paths())}
    return {path: count for path, count in counts.items() if count}


def _count(folder: Folder, path: str, customer_id: str) -> int:
    customers = in_our_types(path, folder.table(path, ["customer_id"]))["customer_id"]
    return int(pc.sum(pc.equal(customers, customer_id)).as_py() or 0)

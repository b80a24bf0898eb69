"""Many small files of the training buffer made into few, while it is being written and read.

The compacted file appears whole, then the files that it replaces go. Whoever is killed between leaves both; our readers leave the
replaced ones out by their names, and the next compaction removes them. Other tools may see a row twice in between.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from stream_scorer.adapters.folders import Folder
from stream_scorer.adapters.parquet_erasure import kept_table, write_kept
from stream_scorer.adapters.parquet_rows import COLUMNS, MIXED, encode, sampled_in
from stream_scorer.core.buffer_files import BufferFile, compactable, files_of, in_order, superseded

ROWS_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction did."""

    files_before: int
    files_after: int
    rows_doubled: int


def compact(folder: Folder, *, rows_max: int = ROWS_MAX) -> Compacted:
    """Make one file of those of the same partition and day, at most `rows_max` rows each; run one at a time.

    Each partition's newest chunk stays as it is: it tells where to go on. Raises TransientError; run it again.
    """
    files = files_of(folder.paths())
    gone = superseded(files)
    folder.delete([file.path for file in gone])
    doubled = 0
    for group in _groups(folder, compactable(set(files) - set(gone)), rows_max):
        doubled += _replace(folder, group)
    return Compacted(len(files), len(files_of(folder.paths())), doubled)


def _groups(folder: Folder, files: Sequence[BufferFile], rows_max: int) -> Iterator[list[BufferFile]]:
    """Yield neighbours of one partition and day, two or more, as many as fit."""
    for _, neighbours in groupby(files, key=lambda file: (file.partition, file.day)):
        group: list[BufferFile] = []
        rows = 0
        for file in neighbours:
            own = pq.read_metadata(pa.BufferReader(folder.read(file.path))).num_rows
            if group and rows + own > rows_max:
                yield from _pairs(group)
                group, rows = [], 0
            group.append(file)
            rows += own
        yield from _pairs(group)


def _pairs(group: list[BufferFile]) -> list[list[BufferFile]]:
    return [group] if len(group) > 1 else []


def _replace(folder: Folder, group: Sequence[BufferFile]) -> int:
    tables = [pq.read_table(pa.BufferReader(folder.read(file.path))) for file in group]
    table, mixed = merged(tables)
    once = _once(table)
    sampled = in_order(one for each in tables for one in sampled_in(each.schema.metadata))
    whole = group[0]._replace(next=max(file.next for file in group), part=0, parts=0)
    write_kept(folder, lambda erasures: folder.write(whole.path, encode(kept_table(once, erasures), whole, mixed, sampled)))
    folder.delete([file.path for file in group])
    return int(table.num_rows - once.num_rows)


def merged(tables: Sequence[pa.Table]) -> tuple[pa.Table, list[str]]:
    """Return all rows, and the names of features that came in several kinds among the tables and have no column."""
    kinds: dict[str, set[pa.DataType]] = {}
    mixed: set[str] = set()
    for table in tables:
        mixed.update(msgspec.json.decode((table.schema.metadata or {}).get(MIXED.encode(), b"[]")))
        for field in table.schema:
            kinds.setdefault(field.name, set()).add(field.type)
    mixed.update(name for name, types in kinds.items() if len(types) > 1)
    names = [name for name in COLUMNS if name in kinds] + sorted(name for name in kinds if name not in COLUMNS and name not in mixed)
    parts = [table.select([name for name in names if name in table.schema.names]).replace_schema_metadata() for table in tables]
    return pa.concat_tables(parts, promote_options="default").select(names).unify_dictionaries(), sorted(mixed)


def _once(table: pa.Table) -> pa.Table:
    """Return each revision of an example once: two members of a group that both wrote it wrote the same."""
    keys = table.select(["example_id", "revision"]).append_column("row", pa.array(range(table.num_rows), pa.int64()))
    first = keys.group_by(["example_id", "revision"], use_threads=False).aggregate([("row", "min")])
    return table if first.num_rows == table.num_rows else table.take(first["row_min"].combine_chunks().sort())

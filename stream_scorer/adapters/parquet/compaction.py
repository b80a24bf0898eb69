"""Merges small files of the training buffer into few, while the buffer is being written and read.

The compacted file appears whole. The files that it replaces are removed later, so that readers who had listed them can
finish. Meanwhile our own readers leave the replaced files out, by their names; other tools see their rows twice, just
as they see every revision of an example.

A member of the consumer group that stalled, lost its partitions and wakes up may still write a compacted file. If its
range contains another member's or is contained in it, the names show which file counts. If the two overlap only in
part, the member deletes the file that it has written.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import msgspec
import pyarrow as pa

from stream_scorer.adapters.files.folders import Entry, Folder
from stream_scorer.adapters.parquet.erasure import kept_table, write_kept
from stream_scorer.adapters.parquet.rows import COLUMNS, MIXED, encode, in_our_types, sampled_in
from stream_scorer.core.buffer.buffer_files import BufferFile, compactable, files_of, in_order, parse, superseded
from stream_scorer.core.buffer.compaction import CompactionPlan, is_crossed, small_runs, whole_of
from stream_scorer.core.records import Partition

ROWS_MAX = 1_000_000
ALL_MS = 2**62  # later than any file's time, so all replaced files are removed


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction did; replaced files that stay for a while are not counted."""

    files_before: int
    files_after: int
    rows_doubled: int  # copies of rows that were left out, since two members of the group had written them


def compact(folder: Folder, *, rows_max: int = ROWS_MAX, replaced_before_ms: int = ALL_MS) -> Compacted:
    """Merge the files of each partition and day into files of at most `rows_max` rows.

    Never run two at a time. The newest chunk of each partition stays as it is, since its name states where to continue.
    Replaced files are removed if their replacement was written before `replaced_before_ms`. Raises TransientError where
    the filesystem fails, after which it can be run again, and UsageError for a file that cannot be read.
    """
    before = _standing(_sized(folder))
    doubled = 0
    for group in _groups(folder, compactable(before), rows_max):
        doubled += _replace(folder, group)
    sweep(folder, replaced_before_ms)
    return Compacted(len(before), len(_standing(_sized(folder))), doubled)


def compact_step(folder: Folder, partitions: Sequence[Partition], plan: CompactionPlan, now_ms: int) -> int:
    """See TrainingBuffer.compact."""
    sweep(folder, now_ms - plan.replaced_kept_ms)
    entries = {file: entry for file, entry in _sized(folder).items() if file.partition in partitions}
    sizes = {file: entries[file].size_bytes for file in compactable(_standing(entries))}
    for run in small_runs(sizes, files_min=plan.files_min):
        for group in _groups(folder, run, plan.rows_max):
            _replace(folder, group)
            return len(group)  # a single merge, so that the step is bounded
    return 0


def sweep(folder: Folder, replaced_before_ms: int) -> None:
    """Remove replaced files whose replacement was written before `replaced_before_ms`."""
    entries = _sized(folder)
    # Without the young replacements, the files that they replace do not look replaced yet and stay.
    old = [file for file, entry in entries.items() if not file.compacted or entry.modified_ms < replaced_before_ms]
    folder.delete([file.path for file in superseded(old)])


def _sized(folder: Folder) -> dict[BufferFile, Entry]:
    return {file: entry for entry in folder.entries() if (file := parse(entry.path)) is not None}


def _standing(files: Iterable[BufferFile]) -> list[BufferFile]:
    known = list(files)
    gone = set(superseded(known))
    return [file for file in known if file not in gone]


def _groups(folder: Folder, files: Sequence[BufferFile], rows_max: int) -> Iterator[list[BufferFile]]:
    """Yield groups of two or more neighbours of the same partition and day, each up to `rows_max` rows."""
    for _, neighbours in groupby(files, key=lambda file: (file.partition, file.day)):
        group: list[BufferFile] = []
        rows = 0
        for file in neighbours:
            own = folder.footer(file.path).num_rows
            if group and rows + own > rows_max:
                yield from _pairs(group)
                group, rows = [], 0
            group.append(file)
            rows += own
        yield from _pairs(group)


def _pairs(group: list[BufferFile]) -> list[list[BufferFile]]:
    return [group] if len(group) > 1 else []  # a file alone has nothing to merge with


def _replace(folder: Folder, group: Sequence[BufferFile]) -> int:
    tables = [in_our_types(file.path, folder.table(file.path)) for file in group]
    table, mixed = merged(tables)
    once = _once(table)
    sampled = in_order(one for each in tables for one in sampled_in(each.schema.metadata))
    whole = whole_of(group)
    write_kept(
        folder, lambda erasures: folder.write(whole.path, encode(kept_table(once, erasures), whole, mixed, sampled))
    )
    # Checked after the writing, so that of two members who write at the same time the later sees the other's file.
    if is_crossed(whole, files_of(folder.paths())):
        folder.delete([whole.path])
    return int(table.num_rows - once.num_rows)


def merged(tables: Sequence[pa.Table]) -> tuple[pa.Table, list[str]]:
    """Return all rows, and the names of features that have several kinds among the tables and so have no column."""
    kinds: dict[str, set[pa.DataType]] = {}
    mixed: set[str] = set()
    for table in tables:
        mixed.update(msgspec.json.decode((table.schema.metadata or {}).get(MIXED.encode(), b"[]")))
        for field in table.schema:
            kinds.setdefault(field.name, set()).add(field.type)
    mixed.update(name for name, types in kinds.items() if len(types) > 1)
    names = [name for name in COLUMNS if name in kinds] + sorted(
        name for name in kinds if name not in COLUMNS and name not in mixed
    )
    parts = [
        table.select([name for name in names if name in table.schema.names]).replace_schema_metadata()
        for table in tables
    ]
    # "default" fills a feature that a table lacks with nulls, and refuses to widen types.
    return pa.concat_tables(parts, promote_options="default").select(names).unify_dictionaries(), sorted(mixed)


def _once(table: pa.Table) -> pa.Table:
    """Return each revision of an example once: members of the consumer group that both wrote it wrote the same."""
    keys = table.select(["example_id", "revision"]).append_column("row", pa.array(range(table.num_rows), pa.int64()))
    first = keys.group_by(["example_id", "revision"], use_threads=False).aggregate([("row", "min")])
    # Taking the rows by ascending place keeps the order of the files, which grouping does not promise.
    return table if first.num_rows == table.num_rows else table.take(first["row_min"].combine_chunks().sort())

"""Many small files of the training buffer made into few, while it is being written and read.

The compacted file appears whole; the files that it replaces go later, when those who had listed them have read them.
Our readers leave the replaced ones out by their names; other tools see a row twice in between, as they see its
revisions. A member that stood still and wakes writes a file that another one holds, or takes back one that crosses it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import msgspec
import pyarrow as pa

from stream_scorer.adapters.files.folders import Entry, Folder
from stream_scorer.adapters.parquet.erasure import kept_table, write_kept
from stream_scorer.adapters.parquet.rows import COLUMNS, MIXED, encode, sampled_in
from stream_scorer.core.buffer.buffer_files import BufferFile, compactable, files_of, in_order, parse, superseded
from stream_scorer.core.buffer.compaction import CompactionPlan, is_crossed, small_runs, whole_of
from stream_scorer.core.records import Partition

ROWS_MAX = 1_000_000
ALL_MS = 2**62


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction did; files that were replaced and stay for a while are not counted."""

    files_before: int
    files_after: int
    rows_doubled: int


def compact(folder: Folder, *, rows_max: int = ROWS_MAX, replaced_before_ms: int = ALL_MS) -> Compacted:
    """Make one file of those of the same partition and day, at most `rows_max` rows each; run one at a time.

    Each partition's newest chunk stays as it is: it tells where to go on. Of files that were replaced, those go whose
    replacement is older than `replaced_before_ms`. Raises TransientError; run it again.
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
            return len(group)
    return 0


def sweep(folder: Folder, replaced_before_ms: int) -> None:
    """Remove files whose replacement has been there since before a time."""
    entries = _sized(folder)
    old = [file for file, entry in entries.items() if not file.compacted or entry.modified_ms < replaced_before_ms]
    folder.delete([file.path for file in superseded(old)])


def _sized(folder: Folder) -> dict[BufferFile, Entry]:
    return {file: entry for entry in folder.entries() if (file := parse(entry.path)) is not None}


def _standing(files: Iterable[BufferFile]) -> list[BufferFile]:
    known = list(files)
    gone = set(superseded(known))
    return [file for file in known if file not in gone]


def _groups(folder: Folder, files: Sequence[BufferFile], rows_max: int) -> Iterator[list[BufferFile]]:
    """Yield neighbours of one partition and day, two or more, as many as fit."""
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
    return [group] if len(group) > 1 else []


def _replace(folder: Folder, group: Sequence[BufferFile]) -> int:
    tables = [folder.table(file.path) for file in group]
    table, mixed = merged(tables)
    once = _once(table)
    sampled = in_order(one for each in tables for one in sampled_in(each.schema.metadata))
    whole = whole_of(group)
    write_kept(
        folder, lambda erasures: folder.write(whole.path, encode(kept_table(once, erasures), whole, mixed, sampled))
    )
    if is_crossed(whole, files_of(folder.paths())):
        folder.delete([whole.path])
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
    names = [name for name in COLUMNS if name in kinds] + sorted(
        name for name in kinds if name not in COLUMNS and name not in mixed
    )
    parts = [
        table.select([name for name in names if name in table.schema.names]).replace_schema_metadata()
        for table in tables
    ]
    return pa.concat_tables(parts, promote_options="default").select(names).unify_dictionaries(), sorted(mixed)


def _once(table: pa.Table) -> pa.Table:
    """Return each revision of an example once: two members of a group that both wrote it wrote the same."""
    keys = table.select(["example_id", "revision"]).append_column("row", pa.array(range(table.num_rows), pa.int64()))
    first = keys.group_by(["example_id", "revision"], use_threads=False).aggregate([("row", "min")])
    return table if first.num_rows == table.num_rows else table.take(first["row_min"].combine_chunks().sort())

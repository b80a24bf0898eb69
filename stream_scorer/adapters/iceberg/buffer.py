"""The training buffer as an Iceberg table.

Rows, offsets and everything else that a buffer states are one commit, which names the snapshot that it follows. Of two
buffers that commit at the same time one is refused; it reads the table again, sees where its partitions stand now, and
commits what is still owed. So rows are in the table exactly once, whoever else writes to it and whatever is killed.

Every commit of ours is a snapshot, also one without rows. A change of properties alone would follow no snapshot, and a
buffer could commit rows of a customer whom an erasure had just put on the list.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from secrets import token_hex
from typing import Any, TypeVar, cast

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, ValidationException
from pyiceberg.expressions import And, BooleanExpression, EqualTo, LessThanOrEqual, Reference
from pyiceberg.expressions.literals import literal
from pyiceberg.io.pyarrow import ArrowScan, schema_to_pyarrow
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.update import AddSnapshotUpdate, TableRequirement, TableUpdate

from stream_scorer.adapters.iceberg.columns import BY_DAY, DAY, SCHEMA, to_arrow
from stream_scorer.adapters.iceberg.places import TablePlace
from stream_scorer.adapters.iceberg.reaching import CATALOG_TIMEOUT_S, TABLE_TIMEOUT_S, within
from stream_scorer.adapters.iceberg.state import TableState, state_of
from stream_scorer.adapters.parquet.rows import COLUMNS, from_table
from stream_scorer.core.buffer.buffer_files import Chunk, Sampled
from stream_scorer.core.buffer.compaction import CompactionPlan
from stream_scorer.core.buffer.erasure import Erasures
from stream_scorer.core.buffer.examples import ExampleRow
from stream_scorer.core.records import Partition
from stream_scorer.errors import TransientError, UsageError

COMMITS_MAX = 20
ResultT = TypeVar("ResultT")
_CLASS = "write.py-location-provider.impl"
_CUSTOMER, _TIME = Reference("customer_id"), Reference("request_time_ms")


class CommitRefused(ValidationException):
    """The table has moved on since it was read."""


class _OneTry:
    """A catalog whose commits are tried once.

    pyiceberg answers a refused append by trying it again on top of whatever is there by then. That would write a chunk
    twice which another member has just written. As a ValidationException the refusal comes through, and pyiceberg
    removes the manifests that it had written.

    A commit that is there has not been refused, whatever the catalog says: where an answer is lost, clients such as
    Glue's send the commit again by themselves, which meets its own first sending. Its manifests must stay.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def commit_table(
        self, table: Table, requirements: tuple[TableRequirement, ...], updates: tuple[TableUpdate, ...]
    ) -> CommitTableResponse:
        try:
            return self._catalog.commit_table(table, requirements, updates)
        except CommitFailedException as error:
            now = self._catalog.load_table(table.name())
            ours = [each.snapshot.snapshot_id for each in updates if isinstance(each, AddSnapshotUpdate)]
            if not any(now.metadata.snapshot_by_id(each) for each in ours):
                raise CommitRefused(str(error)) from error
        return CommitTableResponse.model_validate(
            {"metadata": now.metadata, "metadata-location": now.metadata_location}
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)


class IcebergBuffer:
    """See TrainingBuffer."""

    def __init__(self, place: TablePlace) -> None:
        """Use a table, which need not exist yet; the catalog is asked when it is first needed."""
        self._place = place
        self._catalog: Catalog | None = None
        # Partitions that had rows. If the table is emptied or replaced, the next chunk would leave a gap.
        self._known: set[Partition] = set()

    @classmethod
    def open(cls, place: str) -> "IcebergBuffer":
        """Open `iceberg://CATALOG/NAMESPACE.TABLE`. Raises UsageError for a place that is no table's."""
        return cls(TablePlace.parse(place))

    def check_writable(self) -> None:
        """Raise UsageError or TransientError where the table is not there and cannot be made, before any work."""
        self._made()

    def positions(self, partitions: Sequence[Partition]) -> Mapping[Partition, int | None]:
        """See TrainingBuffer.positions; a commit is whole, so nothing is ever torn."""
        ends = self.ends(partitions)
        self._known = (self._known - ends.keys()) | {each for each, end in ends.items() if end is not None}
        return ends

    def ends(self, partitions: Sequence[Partition]) -> Mapping[Partition, int | None]:
        """See TrainingBuffer.ends."""
        state = self._state()
        return {partition: state.position(partition) for partition in partitions}

    def exists(self) -> bool:
        """See TrainingBuffer.exists."""
        table = self._found()
        return table is not None and table.current_snapshot() is not None

    def topic_id(self, topic: str) -> str:
        """See TrainingBuffer.topic_id."""
        return self._state().topic_ids.get(topic, "")

    def state_topic(self, topic: str, topic_id: str) -> None:
        """See TrainingBuffer.state_topic."""
        self._commit(lambda state: (replace(state, topic_ids={**state.topic_ids, topic: topic_id}), []))

    def write(self, chunks: Sequence[Chunk]) -> list[Partition]:
        """See TrainingBuffer.write."""
        refused: list[Partition] = []

        def owed(state: TableState) -> tuple[TableState, Sequence[ExampleRow]] | None:
            self._check_there(state, chunks)
            fit = [chunk for chunk in chunks if state.position(chunk.partition) in (None, chunk.first)]
            # A chunk that is there already is the answer of an earlier commit that was lost.
            there = [chunk for chunk in chunks if state.newest.get(chunk.partition) == (chunk.first, chunk.next)]
            refused[:] = [chunk.partition for chunk in chunks if chunk not in fit and chunk not in there]
            rows = [row for chunk in fit for row in state.erasures.kept(chunk.rows)]
            return (state.with_chunks(fit), rows) if fit else None

        self._commit(owed)
        self._known |= {chunk.partition for chunk in chunks} - set(refused)
        return refused

    def _check_there(self, state: TableState, chunks: Sequence[Chunk]) -> None:
        gone = [
            str(chunk.partition.number)
            for chunk in chunks
            if chunk.partition in self._known and state.position(chunk.partition) is None
        ]
        if gone:
            raise UsageError(
                f"the rows of partitions {', '.join(gone)} are gone from table {self._place} since they were written: "
                "put the table back, or start the buffer again, which fills it from the topic as far as that is kept"
            )

    def read(self) -> Iterator[list[ExampleRow]]:
        """See TrainingBuffer.read."""
        yield from (from_table(str(self._place), rows) for rows in self.tables())

    def tables(self) -> Iterator[pa.Table]:
        """Yield the rows of the current snapshot, every revision, by the columns of the Parquet files.

        A file at a time: pyiceberg's own reader of batches reads ahead as fast as it can, up to the whole table.
        """
        table = self._found()
        if table is not None:
            scan = table.scan(selected_fields=tuple(COLUMNS))
            reading = ArrowScan(table.metadata, table.io, scan.projection(), scan.row_filter)
            schema = schema_to_pyarrow(scan.projection(), include_field_ids=False)
            for file in self._within("reading", lambda: list(scan.plan_files())):
                yield self._within("reading", partial(reading.to_table, [file])).cast(schema)

    def sampled(self, partitions: Sequence[Partition]) -> Mapping[Partition, Sequence[Sampled]]:
        """See TrainingBuffer.sampled."""
        state = self._state()
        return {partition: list(state.sampled.get(partition, ())) for partition in partitions}

    def compact(self, partitions: Sequence[Partition], plan: CompactionPlan, now_ms: int) -> int:
        """See TrainingBuffer.compact: a table's maintenance is its owner's, who has tools for all tables."""
        return 0

    def erasures(self) -> Erasures:
        """See TrainingBuffer.erasures."""
        return self._state().erasures

    def erase(self, customer_id: str, now_ms: int) -> Mapping[str, int]:
        """See TrainingBuffer.erase.

        The rows leave the newest snapshot. Those before it still have them until they have expired.
        """

        def listed(state: TableState) -> tuple[TableState, Sequence[ExampleRow]]:
            known = state.erasures if state.erasures.salt else Erasures(token_hex(16))
            return replace(state, erasures=known.with_customer(customer_id, now_ms)), []

        # the list comes first: whoever commits rows from now on leaves the customer's out
        self._commit(listed)
        theirs = And(
            EqualTo(term=_CUSTOMER, value=literal(customer_id)), LessThanOrEqual(term=_TIME, value=literal(now_ms))
        )
        for _ in range(COMMITS_MAX):
            table = self._made()
            counts = self._counts(table, theirs)
            if not counts:
                return {}
            try:
                self._within("erasing", partial(_delete, table, theirs), TABLE_TIMEOUT_S)
            except ValidationException:
                continue
            return counts
        raise TransientError(f"table {self._place} was changed by others {COMMITS_MAX} times in a row: erase again")

    def rows_of(self, customer_id: str) -> Mapping[str, int]:
        """See TrainingBuffer.rows_of."""
        table = self._found()
        return {} if table is None else self._counts(table, _of_customer(customer_id))

    def _counts(self, table: Table, which: BooleanExpression) -> dict[str, int]:
        scan = table.scan(which, selected_fields=(DAY,))
        days = self._within("reading", scan.to_arrow, TABLE_TIMEOUT_S)[DAY].value_counts().to_pylist()
        return {f"{self._place} day={each['values']}": each["counts"] for each in days}

    # -- the table

    def _commit(self, change: Callable[[TableState], tuple[TableState, Sequence[ExampleRow]] | None]) -> None:
        """Commit what `change` makes of the table's state, with the rows that it adds; None: nothing is owed.

        Another's commit in between makes it read the table and ask `change` again.
        """
        for _ in range(COMMITS_MAX):
            table = self._made()
            changed = change(state_of(table.metadata))
            if changed is None:
                return
            after, rows = changed
            try:
                self._within("writing", partial(_append, table, after, rows))
            except CommitRefused:
                continue  # one of those who met has gone on, so as many tries as there are writers are enough
            return
        raise TransientError(f"table {self._place} was changed by others {COMMITS_MAX} times in a row")

    def _state(self) -> TableState:
        table = self._found()
        return TableState() if table is None else state_of(table.metadata)

    def _found(self) -> Table | None:
        """Return the table as it is now, None where there is none. Raises UsageError where it is not of our shape."""

        def loaded() -> Table | None:
            self._catalog = self._catalog or self._place.open()
            try:
                return self._catalog.load_table(self._place.identifier)
            except NoSuchTableError:
                return None

        table = self._within("opening", loaded)
        if table is not None:
            _check_shape(self._place, table)
            table.catalog = cast("Catalog", _OneTry(table.catalog))
        return table

    def _made(self) -> Table:
        found = self._found()
        if found is None:
            self._within("making", self._make)
            found = self._found()
        assert found is not None
        return found

    def _make(self) -> None:
        assert self._catalog is not None
        self._catalog.create_namespace_if_not_exists(self._place.identifier[:-1])
        self._catalog.create_table_if_not_exists(
            self._place.identifier, SCHEMA, partition_spec=BY_DAY, properties={"format-version": "2"}
        )

    def _within(self, doing: str, call: Callable[[], ResultT], seconds: float = CATALOG_TIMEOUT_S) -> ResultT:
        return within(seconds, f"{doing} table {self._place}", call)


def _of_customer(customer_id: str) -> BooleanExpression:
    return EqualTo(term=_CUSTOMER, value=literal(customer_id))


def _append(table: Table, after: TableState, rows: Sequence[ExampleRow]) -> None:
    # Sequence numbers count a table's snapshots, so that of this commit is the next, unless the commit is refused.
    sequence = table.last_sequence_number + 1
    with table.transaction() as changes:
        changes.append(to_arrow(rows), snapshot_properties=after.summary())
        changes.set_properties(after.properties(sequence))


def _delete(table: Table, theirs: BooleanExpression) -> None:
    with table.transaction() as changes:
        changes.delete(theirs, snapshot_properties=state_of(table.metadata).summary())


def _check_shape(place: TablePlace, table: Table) -> None:
    missing = [name for name in SCHEMA.column_names if name not in table.schema().column_names]
    if missing:
        raise UsageError(
            f"table {place} lacks {', '.join(missing)}: name one that is not there yet, which the buffer then makes"
        )
    if _CLASS in table.properties:
        # pyiceberg would import it, and whoever may write the table may run no code here
        raise UsageError(f"table {place} names a Python class ({_CLASS}), which is never loaded: remove that property")
    if table.format_version < 2:
        raise UsageError(f"table {place} is of format version 1: set its property format-version to 2")

"""A real Iceberg table that is killed, crossed, maintained and read by others' tools."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.exceptions import CommitFailedException

from stream_scorer.adapters.iceberg.buffer import IcebergBuffer
from stream_scorer.adapters.iceberg.state import OFFSETS
from stream_scorer.core.buffer.buffer_files import Chunk
from stream_scorer.core.buffer.examples import ExampleRow
from stream_scorer.core.records import Partition
from stream_scorer.errors import TransientError, UsageError
from tests.iceberg_tables import opened, table_in

P, Q = Partition("training-labels", 0), Partition("training-labels", 1)
DAY_MS = 86_400_000


class Killed(BaseException):
    """The process ends here."""


class BetweenBuffer(IcebergBuffer):
    """A buffer in which something happens once, when its rows are written and not committed yet."""

    def __init__(self, folder: Path, between: Callable[[], None], after: Callable[[], None] = lambda: None) -> None:
        super().__init__(IcebergBuffer.open(table_in(folder))._place)
        self._catalog = self._place.open()
        self.commits, commit = 0, self._catalog.commit_table

        def commit_table(*args: Any) -> Any:
            self.commits += 1
            if self.commits == 1:
                between()
            committed = commit(*args)
            if self.commits == 1:
                after()
            return committed

        self._catalog.commit_table = commit_table  # type: ignore[assignment, method-assign]


def row(offset: int, customer: str = "c") -> ExampleRow:
    time_ms = offset % 3 * DAY_MS
    return ExampleRow(
        f"e{offset}",
        1,
        f"r{offset}",
        customer,
        "o",
        1,
        "accepted",
        {"age": 30.0},
        {},
        1,
        0.5,
        1.0,
        "rel",
        time_ms,
        time_ms,
        "shown",
    )


def chunk(first: int, following: int, partition: Partition = P) -> Chunk:
    return Chunk(partition, first, following, [row(offset) for offset in range(first, following)])


def buffer_in(folder: Path) -> IcebergBuffer:
    return IcebergBuffer.open(table_in(folder))


def stored(folder: Path) -> list[str]:
    return sorted(one.request_id for batch in buffer_in(folder).read() for one in batch)


def requests(count: int) -> list[str]:
    return sorted(f"r{offset}" for offset in range(count))


@pytest.fixture
def started(tmp_path: Path) -> Path:
    """Return a folder with a table in which the offsets [0, 4) are."""
    buffer_in(tmp_path).write([chunk(0, 4)])
    return tmp_path


def end(folder: Path) -> int | None:
    return buffer_in(folder).ends([P])[P]


def test_others_read_days_and_offsets(started: Path) -> None:
    table = opened(started)
    assert [field.name for field in table.spec().fields] == ["day"]
    assert {str(day) for day in table.scan().to_arrow()["day"].to_pylist()} == {f"1970-01-0{day}" for day in (1, 2, 3)}
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary[OFFSETS] == '{"training-labels":{"0":[0,4]}}'


@pytest.mark.parametrize("landed", [False, True])
def test_a_killed_commit_keeps_rows_once(started: Path, *, landed: bool) -> None:
    def kill() -> None:
        raise Killed

    killed = BetweenBuffer(started, *((lambda: None, kill) if landed else (kill,)))
    with pytest.raises(Killed):
        killed.write([chunk(4, 8)])
    assert end(started) == (8 if landed else 4)
    buffer_in(started).write([chunk(end(started) or 0, 9)])
    assert stored(started) == requests(9)


def test_a_commit_without_an_answer_is_known(started: Path) -> None:
    def cut() -> None:
        raise OSError("connection reset")

    buffer = BetweenBuffer(started, lambda: None, cut)
    with pytest.raises(TransientError, match="connection reset"):
        buffer.write([chunk(4, 8)])
    assert buffer.write([chunk(4, 8)]) == []
    assert stored(started) == requests(8)


def test_a_commit_that_met_itself_stays(started: Path) -> None:
    def met_itself() -> None:
        raise CommitFailedException("the table has changed")

    assert BetweenBuffer(started, lambda: None, met_itself).write([chunk(4, 8)]) == []
    assert stored(started) == requests(8)


def test_a_woken_member_cannot_double_rows(started: Path) -> None:
    woken = BetweenBuffer(started, lambda: _put(started, chunk(4, 6)))
    assert woken.write([chunk(4, 8)]) == [P]
    assert stored(started) == requests(6)


def test_members_of_other_partitions_both_commit(started: Path) -> None:
    late = BetweenBuffer(started, lambda: _put(started, chunk(0, 2, Q)))
    assert late.write([chunk(4, 6)]) == []
    assert late.commits == 2
    assert buffer_in(started).ends([P, Q]) == {P: 6, Q: 2}
    assert len(stored(started)) == 8


def test_an_erasure_overtakes_a_commit(started: Path) -> None:
    late = BetweenBuffer(started, lambda: _erase(started, "c"))
    assert late.write([chunk(4, 6)]) == []
    assert stored(started) == []
    assert end(started) == 6


def test_commits_that_always_meet_others_end(started: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_scorer.adapters.iceberg.buffer.COMMITS_MAX", 1)
    late = BetweenBuffer(started, lambda: _put(started, chunk(0, 2, Q)))
    with pytest.raises(TransientError, match="changed by others"):
        late.write([chunk(4, 6)])


def test_other_tools_commits_are_passed_over(started: Path) -> None:
    table = opened(started)
    table.append(table.scan().to_arrow().slice(0, 0))
    assert end(started) == 4


def test_expired_snapshots_do_not_lose_offsets(started: Path) -> None:
    table = opened(started)
    ours = table.current_snapshot()
    table.append(table.scan().to_arrow().slice(0, 0))
    assert ours is not None
    table.maintenance.expire_snapshots().by_id(ours.snapshot_id).commit()
    assert [snapshot.snapshot_id for snapshot in opened(started).snapshots()] != [ours.snapshot_id]
    assert end(started) == 4


def test_a_table_begun_anew_is_filled_anew(started: Path) -> None:
    table = opened(started)
    table.catalog.drop_table(table.name())
    # as CREATE OR REPLACE does, which keeps the properties
    anew = table.catalog.create_table(table.name(), table.schema(), None, table.spec(), properties=table.properties)
    anew.append(anew.scan().to_arrow())
    assert end(started) is None


def test_a_rollback_takes_offsets_along(started: Path) -> None:
    table = opened(started)
    before = table.current_snapshot()
    _put(started, chunk(4, 8))
    assert before is not None
    opened(started).manage_snapshots().rollback_to_snapshot(before.snapshot_id).commit()
    assert end(started) == 4
    assert buffer_in(started).sampled([P])[P][0].next == 4


def test_a_rollback_behind_what_expired_is_refused(started: Path) -> None:
    table = opened(started)
    ours = table.current_snapshot()
    table.append(table.scan().to_arrow().slice(0, 0))
    theirs = table.current_snapshot()
    assert ours is not None
    assert theirs is not None
    _put(started, chunk(4, 8))
    table = opened(started)
    table.manage_snapshots().rollback_to_snapshot(theirs.snapshot_id).commit()
    table.maintenance.expire_snapshots().by_id(ours.snapshot_id).commit()
    with pytest.raises(UsageError, match="rolled back"):
        end(started)


def test_erased_rows_stay_in_older_snapshots(started: Path) -> None:
    before = opened(started).current_snapshot()
    assert before is not None
    assert sum(buffer_in(started).erase("c", 3 * DAY_MS).values()) == 4
    assert stored(started) == []
    assert opened(started).scan(snapshot_id=before.snapshot_id).to_arrow().num_rows == 4


def test_rows_are_read_file_by_file(started: Path) -> None:
    assert sorted(table.num_rows for table in buffer_in(started).tables()) == [1, 1, 2]


def test_lost_manifests_are_trouble(started: Path) -> None:
    for manifest in (started / "lake").rglob("*.avro"):
        manifest.unlink()
    with pytest.raises(TransientError, match=r"reading table lake/shop\.labels"):
        stored(started)


def test_erasing_may_take_longer_than_a_commit(started: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds: dict[str, float] = {}

    def noted(seconds: float, doing: str, call: Callable[[], Any]) -> Any:
        bounds[doing.partition(" ")[0]] = seconds
        return call()

    monkeypatch.setattr("stream_scorer.adapters.iceberg.buffer.within", noted)
    _erase(started, "c")
    assert (bounds["writing"], bounds["reading"], bounds["erasing"]) == (60, 3_600, 3_600)


def test_a_table_of_another_shape_is_refused(tmp_path: Path) -> None:
    buffer = buffer_in(tmp_path)
    buffer.check_writable()
    with opened(tmp_path).update_schema(allow_incompatible_changes=True) as changes:
        changes.delete_column("exposure")
    with pytest.raises(UsageError, match="lacks exposure"):
        buffer.write([chunk(0, 2)])


def test_a_table_that_names_code_is_refused(started: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, buffer = opened(started), buffer_in(started)
    table.metadata.properties["write.py-location-provider.impl"] = "evil.Provider"
    monkeypatch.setattr(table.catalog, "load_table", lambda name: table)
    buffer._catalog = table.catalog
    with pytest.raises(UsageError, match="never loaded"):
        buffer.write([chunk(4, 6)])


def test_foreign_state_is_refused(started: Path) -> None:
    with opened(started).transaction() as changes:
        changes.set_properties({"stream-scorer.state": '{"sequence": "x"}'})
    with pytest.raises(UsageError, match=r"stream-scorer\.state"):
        end(started)


def test_an_unknown_catalog_is_refused() -> None:
    with pytest.raises(UsageError, match="nowhere"):
        IcebergBuffer.open("iceberg://nowhere/shop.labels").check_writable()


def test_a_catalog_that_is_away_is_trouble() -> None:
    place = "iceberg://lake/shop.labels?type=rest&uri=http://127.0.0.1:9"
    with pytest.raises(TransientError, match=r"opening table lake/shop\.labels"):
        IcebergBuffer.open(place).check_writable()


def _put(folder: Path, more: Chunk) -> None:
    assert buffer_in(folder).write([more]) == []


def _erase(folder: Path, customer: str) -> None:
    buffer_in(folder).erase(customer, 3 * DAY_MS)

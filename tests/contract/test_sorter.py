"""What every sorter must do, in memory and on disk."""

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream_scorer.adapters.files.sqlite_sorter import SqliteSorter
from stream_scorer.adapters.memory.sorter import MemorySorter
from stream_scorer.ports import Sorter

KINDS = pytest.mark.parametrize("kind", [MemorySorter, SqliteSorter])


@KINDS
@given(
    st.lists(
        st.tuples(st.text(st.characters(codec="utf-8")), st.integers(0, 2**62), st.binary(max_size=5)), max_size=20
    )
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_groups_come_by_key_rows_by_place(kind: type[Sorter], rows: list[tuple[str, int, bytes]]) -> None:
    rows = list({row[:2]: row for row in rows}.values())
    with closing(kind()) as sorter:
        sorter.add(iter(rows[:7]))
        sorter.add(iter(rows[7:]))
        assert [(key, payload) for key, group in sorter.groups() for payload in group] == [
            (key, payload) for key, _, payload in sorted(rows)
        ]


def test_nothing_is_left_on_disk(tmp_path: Path) -> None:
    with closing(SqliteSorter(tmp_path)) as sorter:
        sorter.add([("a", 1, b"x")])
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())

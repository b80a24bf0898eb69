"""The reader of tables: what becomes of bad rows."""

from pathlib import Path

import pytest

from stream_scorer.adapters.tables.layouts import OFFERS
from stream_scorer.adapters.tables.reader import TableFile
from stream_scorer.errors import UsageError

TABLES = {
    "offers.csv": "offer_id,active\na,true\nb,perhaps\nc,false\n",
    "offers.jsonl": '{"offer_id": "a"}\n{"offer_id": "b", "active": "perhaps"}\n{"offer_id": "c"}\n',
}


@pytest.mark.parametrize("name", TABLES)
def test_listed_refusals_spoil_no_later_reading(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(TABLES[name])
    table = TableFile(path, OFFERS)
    listed = [isinstance(row, UsageError) for _, row in table.rows_or_refusals()]
    assert listed == [False, True, False]
    with pytest.raises(UsageError, match="active"):
        list(table.rows())

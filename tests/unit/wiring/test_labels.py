"""What a place of labels opens."""

import importlib.util
from pathlib import Path

import pytest

from stream_scorer.adapters.iceberg.buffer import IcebergBuffer
from stream_scorer.adapters.parquet.buffer import ParquetBuffer
from stream_scorer.errors import UsageError
from stream_scorer.wiring.labels import labels_at, training_buffer
from tests.iceberg_tables import table_in


def test_a_place_decides_what_is_opened(tmp_path: Path) -> None:
    assert isinstance(training_buffer(str(tmp_path)), ParquetBuffer)
    assert isinstance(training_buffer(table_in(tmp_path)), IcebergBuffer)


def test_labels_come_from_tables_too(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the buffer fills the table"), labels_at(table_in(tmp_path)):
        pass


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install"):
        training_buffer("iceberg://lake/shop.labels")

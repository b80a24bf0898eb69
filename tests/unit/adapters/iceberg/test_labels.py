"""Labels in a table, read for training."""

from dataclasses import replace
from pathlib import Path

import pytest

from stream_scorer.adapters.iceberg.buffer import IcebergBuffer
from stream_scorer.adapters.iceberg.labels import labels_in_table
from stream_scorer.core.buffer.buffer_files import Chunk
from stream_scorer.core.buffer.examples import ExampleRow
from stream_scorer.core.messages import Features
from stream_scorer.core.records import Partition
from stream_scorer.errors import UsageError
from tests.iceberg_tables import table_in

P = Partition("training-labels", 0)


def row(example: str, revision: int, accepted: int) -> ExampleRow:
    features: Features = {"age": 30.0, "bag": ["a"]}
    return ExampleRow(
        example, revision, "r", "c", example, accepted, "declined", features, {}, 1, 0.5, None, None, 1, 2, "shown"
    )


def test_the_newest_revision_is_read(tmp_path: Path) -> None:
    place = table_in(tmp_path)
    first = Chunk(P, 0, 2, [row("e1", 1, 0), row("e2", 1, 1)])
    IcebergBuffer.open(place).write([first])
    IcebergBuffer.open(place).write([replace(first, first=2, next=3, rows=[row("e1", 2, 1)])])
    with labels_in_table(place) as examples:
        chunks = list(examples.chunks())
        copied = examples.files[0]
    assert [int(label) for chunk in chunks for label in chunk.accepted] == [1, 1]
    assert not copied.exists()


def test_a_table_without_labels_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="no labelled examples"),
        labels_in_table(table_in(tmp_path)),
    ):
        pass

"""Where labels go, and the points from which a join restores."""

import pytest

from stream_scorer.core.joining.event_time import Clocks
from stream_scorer.core.joining.join_state import ClosePoint, RestorePoint, label_records
from stream_scorer.core.records import OutputRecord
from stream_scorer.topic_settings import TopicSettings


def test_labels_keep_their_partition_and_key() -> None:
    topics = TopicSettings(labels="labels-of-tests")
    assert label_records(topics, 3, "c-1", b"{}") == [OutputRecord("labels-of-tests", b"c-1", b"{}", partition=3)]


CLOCKS = Clocks(1, 2, 3, 4, 5)


def test_a_restore_point_reads_back() -> None:
    point = RestorePoint(CLOCKS, 6, 7, 8, 9)
    assert RestorePoint.from_text(point.to_text()) == point


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("[1,1,2,3,4,6,7,8]", RestorePoint(Clocks(1, 2, 3, 4), 6, 7, 8)),
        ("[1,1,2,3,4,6,7,8,5]", RestorePoint(CLOCKS, 6, 7, 8)),
    ],
)
def test_older_restore_points_are_read(text: str, point: RestorePoint) -> None:
    assert RestorePoint.from_text(text) == point


def test_a_closing_point_reads_back() -> None:
    point = ClosePoint(1, 2, 3, 4, 5, 6, 7)
    assert ClosePoint.from_text(point.to_text()) == point


def test_each_way_refuses_the_others_point() -> None:
    with pytest.raises(ValueError, match="version 1"):
        RestorePoint.from_text(ClosePoint(1, 2, 3, 4, 5).to_text())
    with pytest.raises(ValueError, match="another way to emit"):
        ClosePoint.from_text(RestorePoint(CLOCKS, 6, 7, 8).to_text())

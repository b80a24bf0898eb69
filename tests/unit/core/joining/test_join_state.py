"""Where labels go."""

from stream_scorer.core.joining.join_state import label_records
from stream_scorer.core.records import OutputRecord
from stream_scorer.topic_settings import TopicSettings


def test_labels_keep_their_partition_and_key() -> None:
    topics = TopicSettings(labels="labels-of-tests")
    assert label_records(topics, 3, "c-1", b"{}") == [OutputRecord("labels-of-tests", b"c-1", b"{}", partition=3)]

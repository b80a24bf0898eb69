import pytest
from pydantic import ValidationError

from stream_scorer.core.records import OutputRecord, Record
from stream_scorer.errors import UsageError
from stream_scorer.settings import Settings
from stream_scorer.topic_plan import label_bytes_max, ranking_bytes_max
from stream_scorer.wiring.brokers import topic_forms


def test_plain_topics_need_no_forms() -> None:
    assert topic_forms(Settings()) is None


def test_only_topics_with_a_form_are_named() -> None:
    forms = topic_forms(Settings.model_validate({"wire": {"rankings": "cloudevents_binary"}}))
    assert forms is not None
    assert [*forms.forms] == ["rankings"]
    assert forms.letters is None


def test_a_form_leaves_room_for_itself() -> None:
    plain, formed = Settings(), Settings.model_validate({"wire": {"labels": "cloudevents_structured"}})
    assert label_bytes_max(plain) == plain.topics.record_bytes_max
    assert label_bytes_max(plain) - label_bytes_max(formed) == 8_000
    assert ranking_bytes_max(plain) - ranking_bytes_max(formed) == 8_000


@pytest.mark.parametrize(
    ("topic", "code"), [("rankings", ""), ("training-labels", ""), (Settings().topics.requests, "record_too_large")]
)
def test_own_records_are_read_however_large(topic: str, code: str) -> None:
    wire = dict.fromkeys(("rankings", "labels", "requests"), "cloudevents_structured")
    forms = topic_forms(Settings.model_validate({"wire": wire}))
    assert forms is not None
    large = b'{"customer_id":"c","reason":"%s"}' % (b"x" * 1_500_000)
    (written,) = forms.write([OutputRecord(topic, b"c", large)])
    read = forms.forms[topic].read(Record(topic, 0, 0, b"c", written.value, 0, written.headers))
    assert (read.code, read.value) == (code, b"" if code else large)


def test_a_registry_needs_a_url() -> None:
    with pytest.raises(ValidationError, match=r"registry_url must be set, since rankings is avro"):
        Settings.model_validate({"wire": {"rankings": "avro"}})


def test_a_wrong_key_is_refused() -> None:
    wire = {"rankings": "avro", "registry_url": "http://127.0.0.1:9", "registry": {"nonsense": "1"}}
    with pytest.raises(UsageError, match=r"wire\.registry.*nonsense"):
        topic_forms(Settings.model_validate({"wire": wire}))


def test_avro_leaves_room_to_grow() -> None:
    wire = {"rankings": "avro", "registry_url": "http://127.0.0.1:9"}
    framed = Settings.model_validate({"wire": wire})
    assert label_bytes_max(framed) == framed.topics.record_bytes_max // 4 - 8_000

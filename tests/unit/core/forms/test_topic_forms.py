from stream_scorer.core.forms.cloud_events import CloudEvents
from stream_scorer.core.forms.topic_forms import TopicForms
from stream_scorer.core.records import DeadLetter, OutputRecord, Record, as_sent
from stream_scorer.core.wire.dead_letters import dead_letter_record

FORMS = TopicForms({"events": CloudEvents("t", "s", "structured")}, letters="letters")
CONTENT = ("content-type", b"application/cloudevents+json")
EVENT = b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"request_id":"r"}}'


def record(topic: str, value: bytes | None, *headers: tuple[str, bytes]) -> Record:
    return Record(topic, 0, 3, b"key", value, 5, headers)


def test_a_topic_without_a_form_passes_untouched() -> None:
    plain = record("plain", b"{}")
    (read,) = FORMS.read([plain])
    assert read is plain
    output = OutputRecord("plain", b"k", b"{}")
    assert FORMS.write([output])[0] is output


def test_a_tombstone_passes_in_every_form() -> None:
    tombstone, output = record("events", None), OutputRecord("events", b"k", None)
    assert FORMS.read([tombstone])[0] is tombstone
    assert FORMS.write([output])[0] is output


def test_a_dead_letter_carries_what_was_sent() -> None:
    sent = record("events", EVENT, CONTENT)
    (read,) = FORMS.read([sent])
    assert (read.value, as_sent(read), as_sent(sent)) == (b'{"request_id":"r"}', sent, sent)
    letter = dead_letter_record(DeadLetter(read, "missing_field", "why"), "letters")
    assert (letter.key, letter.value, letter.headers[-1]) == (b"key", EVENT, CONTENT)


def test_letters_are_read_as_their_sources() -> None:
    source = ("source.topic", b"events")
    read, unread, plain = FORMS.read([
        record("letters", EVENT, source, CONTENT),
        record("letters", b"{", source, CONTENT),
        record("letters", EVENT, ("source.topic", b"others")),
    ])  # fmt: skip
    assert [each.value for each in (read, unread, plain)] == [b'{"request_id":"r"}', b"{", EVENT]

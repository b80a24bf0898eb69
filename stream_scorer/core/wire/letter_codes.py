"""Every code of a dead letter: who writes it, what causes it, and what cures it.

The page about dead letters shows this table, and a test compares it with the codes that the source can give.
"""

from typing import NamedTuple


class LetterCode(NamedTuple):
    """A code; `jobs` are the commands that write it."""

    jobs: tuple[str, ...]
    cause: str
    cure: str


_READERS = ("rank", "refresh", "buffer", "join")
_RANK, _REFRESH, _JOIN, _BUFFER = ("rank",), ("refresh",), ("join",), ("buffer",)
_PRODUCER = "Correct the producer, which must send the event again."
_BOUND = "Let the producer keep to the bound that the message states, and send the event again."
_TOWER = "Correct the producer; or publish a model that reads the feature so, and send these letters again."
_LATE = "Too late to cure for this record. Where it recurs, look for a ranker that is behind or a slow producer"

CODES: dict[str, LetterCode] = {
    # bytes that are no JSON of ours
    "empty_value": LetterCode(_READERS, "The record has no value, and its topic knows no tombstones.", _PRODUCER),
    "record_too_large": LetterCode(_READERS, "The value has more than 1,000,000 bytes.", _BOUND),
    "byte_order_mark": LetterCode(
        _READERS, "The value begins with a byte order mark.", "Let the producer write UTF-8 without one."
    ),
    "not_utf8": LetterCode(_READERS, "The value is not UTF-8; often another format, such as Avro.", _PRODUCER),
    "not_json": LetterCode(_READERS, "The value is not JSON, or is cut off.", _PRODUCER),
    "not_an_object": LetterCode(_READERS, "The value is JSON, but a list, a text or a number.", _PRODUCER),
    "too_deep": LetterCode(_READERS, "Objects and lists are nested too deep.", _BOUND),
    "nan_or_infinity": LetterCode(
        _READERS, "A number is NaN or infinite, which JSON does not have.", "Let the producer send null instead."
    ),
    "lone_surrogate": LetterCode(
        _READERS, "A text holds half of a surrogate pair: it was cut within a character.", _PRODUCER
    ),
    "nul_in_string": LetterCode(_READERS, "A text holds the character NUL.", _PRODUCER),
    "duplicate_key": LetterCode(
        _READERS, "An object has a key twice, and readers disagree on which one counts.", _PRODUCER
    ),
    "number_out_of_range": LetterCode(
        _READERS, "A number is beyond an int64 or a double, or beyond its field's bound.", _BOUND
    ),
    # records that are not in the form of their topic, see docs/wire-formats.md
    "not_a_cloudevent": LetterCode(
        _READERS,
        "The topic's records are CloudEvents by the settings, and this one is none, or has no id, source or type, "
        "or has one in two headers that differ.",
        "Correct the producer; or the setting (wire.*), and send these letters again.",
    ),
    "cloudevent_version": LetterCode(_READERS, "The event is of another version of CloudEvents than 1.0.", _PRODUCER),
    "cloudevent_type": LetterCode(
        _READERS,
        "The event's type is another than the topic's.",
        "Keep other events off the topic; or name the type that they have (wire.event_types), and send these letters "
        "again.",
    ),
    "cloudevent_data": LetterCode(
        _READERS, "The event has no data, or data that is not JSON, or is one of a batch.", _PRODUCER
    ),
    "not_framed": LetterCode(
        _READERS,
        "The topic's records are framed for a Schema Registry by the settings, and this one is not.",
        "Correct the producer; or the setting (wire.*), and send these letters again.",
    ),
    "frame_truncated": LetterCode(_READERS, "The record ends within its frame.", _PRODUCER),
    "unknown_schema": LetterCode(
        _READERS,
        "The Schema Registry knows no schema of the record's id.",
        "Look whether producer and ring use one registry (wire.registry_url); then send these letters again.",
    ),
    "schema_kind": LetterCode(
        _READERS,
        "The record's schema is of another kind than the topic's form: Avro, JSON Schema or Protobuf.",
        "Correct the producer; or the setting (wire.*), and send these letters again.",
    ),
    "schema_misfit": LetterCode(
        _READERS, "The record's bytes are not what its schema says, or hold types that no message has.", _PRODUCER
    ),
    # objects that are no message of their topic
    "missing_field": LetterCode(
        _READERS, "A required field is not there; or the record is another topic's message.", _PRODUCER
    ),
    "wrong_type": LetterCode(_READERS, "A field is of another type than the schema says.", _PRODUCER),
    "text_too_long": LetterCode(_READERS, "A text has more characters than allowed.", _BOUND),
    "text_too_short": LetterCode(_READERS, "A text is empty where it must not be, such as an id.", _PRODUCER),
    "not_printable": LetterCode(_READERS, "An id holds control characters or line breaks.", _PRODUCER),
    "unknown_value": LetterCode(_READERS, "A field has none of the values that it may have.", _PRODUCER),
    "too_many_features": LetterCode(_READERS, "There are more features than allowed.", _BOUND),
    "list_too_long": LetterCode(_READERS, "A list has more elements than allowed.", _BOUND),
    "mixed_list": LetterCode(_READERS, "A list mixes texts and numbers.", _PRODUCER),
    "filter_value": LetterCode(_RANK, "A filter's value does not fit its operator.", _PRODUCER),
    "offer_twice": LetterCode(_RANK, "An offer stands twice among offers that state features.", _PRODUCER),
    "unknown_filter_op": LetterCode(_RANK, "A filter has an operator that does not exist.", _PRODUCER),
    # messages that the release cannot take
    "filter_kind_mismatch": LetterCode(
        _RANK,
        "A filter compares text with numbers: the offers of the serving release have the attribute in another kind.",
        "Correct the filter; or correct the offers, publish, and send these letters again.",
    ),
    "feature_kind": LetterCode(
        ("rank", "refresh"), "A feature is of another kind than the model was trained on.", _TOWER
    ),
    "feature_vector_length": LetterCode(
        ("rank", "refresh"), "A vector feature has another length than the model was trained on.", _TOWER
    ),
    "offer_features_unread": LetterCode(
        _RANK,
        "The request states features of offers, and the ranker lacks the item tower, which is a program.",
        'Set rank.programs to "allow" and install the extra `train`; or publish a model whose towers are no programs; '
        "then send these letters again.",
    ),
    "ranking_too_large": LetterCode(
        ("rank", "join"),
        "The ranking, or the ranking with its labels, has more bytes than a record may have.",
        "Ask for fewer offers, copy fewer features (rank.offer_features) or raise topics.record_bytes_max; "
        "then send the requests among these letters again.",
    ),
    "offer_key": LetterCode(
        _REFRESH, "The key of a record on offers is not its offer_id.", "Let the producer key offers by their id."
    ),
    "vector_not_finite": LetterCode(
        ("rank", "refresh"),
        "The item tower gives no finite vector for the offer's features.",
        "Look for extreme feature values; or publish another model, and send these letters again.",
    ),
    "vector_zero": LetterCode(
        ("rank", "refresh"),
        "The item tower gives a zero vector for the offer, which every customer would score 0.",
        "Give the offer features that the model reads; or publish another model, and send these letters again.",
    ),
    # answers and rankings that cannot be joined
    "unknown_request": LetterCode(
        _JOIN,
        "No ranking of the answer's request and customer has come, or it is forgotten by now.",
        "Look for a dead letter of the request itself, a wrong request_id, or rankers that were behind for longer than "
        "join.back_ms + join.disorder_ms. "
        "Where the request is sent again after a fix, send its answers again after it.",
    ),
    "another_customer": LetterCode(
        _JOIN, "The answer names a request that was another customer's.", "Correct who sets customer_id or request_id."
    ),
    "offer_not_ranked": LetterCode(
        _JOIN,
        "The answer is about an offer that the ranking of its request does not hold.",
        "Let answers name only offers that were shown from the ranking.",
    ),
    "before_its_request": LetterCode(
        _JOIN,
        "The answer's event time is before that of its request, by more than join.back_ms.",
        "Correct the clocks of the producers, or raise join.back_ms.",
    ),
    "outcome_too_late": LetterCode(
        _JOIN,
        "The answer came after window and allowed lateness (join.window_ms + join.late_ms).",
        f"{_LATE}, or raise join.late_ms.",
    ),
    "from_the_future": LetterCode(
        _JOIN,
        "The event time is ahead of the broker's clock by more than join.skew_ms.",
        "Correct the producer's clock, and look whether it sends microseconds.",
    ),
    "request_id_reused": LetterCode(
        _JOIN,
        "A customer's request id was used before, with another event time.",
        "Let every request have an id of its own; one that is sent again must repeat its event time, too.",
    ),
    "request_time_missing": LetterCode(
        _JOIN,
        'The answer has no request_time_ms, which join.emit "at_close" needs.',
        "Let the producer set it; answers without it can be joined with at_once only.",
    ),
    "ranking_too_late": LetterCode(
        _JOIN,
        "The request is further behind those before it than join.disorder_ms and the join's horizons allow.",
        f"{_LATE}, or raise join.disorder_ms.",
    ),
    "too_many_waiting": LetterCode(
        _JOIN,
        "More answers wait for their rankings than join.open_requests_max allows, and this was the oldest.",
        "Look why rankings do not come (rankers stopped or behind), or raise join.open_requests_max; then send these "
        "letters again.",
    ),
    "bad_ranking": LetterCode(
        _JOIN,
        "A record on rankings is no ranking of ours.",
        "Find who else writes to rankings, and let only rankers write there.",
    ),
    "half_labelled": LetterCode(
        _BUFFER,
        "A label on training-labels lacks its cause or its time.",
        "Find who else writes to training-labels, and let only joiners write there.",
    ),
}  # fmt: skip


def code_table() -> str:
    """Return all codes as a table in Markdown."""
    lines = ["| code | by | cause | cure |", "| --- | --- | --- | --- |"]
    lines += [f"| `{name}` | {', '.join(one.jobs)} | {one.cause} | {one.cure} |" for name, one in CODES.items()]
    return "\n".join(lines) + "\n"

"""Whether a dead letter is right: its bytes are read again, and a refused answer is compared with its ranking."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.messages import Acceptance, CustomerRequest, LabelledRanking, Ranking
from stream_scorer.core.records import Record
from stream_scorer.core.verifying.event_times import NO_TIME, PartitionTimes
from stream_scorer.core.verifying.history import OutcomeRead, RankingRead
from stream_scorer.core.wire.codec import decode_all

# the decoder's codes for bytes that it cannot read: a record that it can read was refused wrongly
UNREADABLE = frozenset({
    "empty_value", "record_too_large", "byte_order_mark", "not_utf8", "not_json", "not_an_object", "too_deep",
    "nan_or_infinity", "lone_surrogate", "nul_in_string", "duplicate_key", "missing_field", "text_too_short",
    "not_printable", "unknown_value", "filter_value", "unknown_filter_op", "offer_twice", "mixed_list",
    "bad_ranking", "not_a_cloudevent", "cloudevent_version", "cloudevent_type", "cloudevent_data",
    "not_framed", "frame_truncated", "unknown_schema", "schema_kind", "schema_misfit",
})  # fmt: skip
# codes of the decoder that a later step uses too, of records that are readable
AMBIGUOUS = frozenset({"wrong_type", "number_out_of_range", "text_too_long", "list_too_long", "too_many_features"})
# the join's codes for answers that cannot count
UNANSWERABLE = frozenset(
    {"unknown_request", "outcome_too_late", "another_customer", "offer_not_ranked", "before_its_request"}
)
# codes that cannot be judged without the release or the joiner's state
BY_STATE = frozenset({
    "filter_kind_mismatch", "ranking_too_large", "ranking_too_late", "request_id_reused", "request_time_missing",
    "from_the_future", "half_labelled", "too_many_waiting",
})  # fmt: skip
KNOWN = UNREADABLE | AMBIGUOUS | UNANSWERABLE | BY_STATE


class EventTimePlace(Protocol):
    """What the answers of one partition are judged by."""

    @property
    def horizons(self) -> Horizons:
        """Return the joiner's horizons."""

    @property
    def times(self) -> PartitionTimes | None:
        """Return how far event time had come; None: unknown, and nothing is judged."""


def is_readable(record: Record, kind: type[CustomerRequest | Acceptance | Ranking | LabelledRanking]) -> bool:
    """Return whether the bytes are a message of this kind."""
    decoded: Any = decode_all([record], kind)
    if kind is Ranking:
        return any(len({offer.offer_id for offer in one.offers}) == len(one.offers) for one in decoded.messages)
    return bool(decoded.messages)


def counts_for(ranking: RankingRead, answer: OutcomeRead, horizons: Horizons) -> bool:
    """Return whether the answer is one to this ranking: its customer, its offers, its time."""
    first_ms, last_ms = ranking.time_ms - horizons.back_ms, ranking.time_ms + horizons.window_ms + horizons.late_ms
    return (
        answer.customer_id == ranking.customer_id
        and answer.offer_id in ranking.offers
        and first_ms <= answer.time_ms <= last_ms
    )


def refused_wrongly(
    ranking: RankingRead, answers: Iterable[OutcomeRead], place: EventTimePlace, *, at_close: bool
) -> Iterator[OutcomeRead]:
    """Yield the refused answers that count, and that came in time in whatever order the two topics were read."""
    times = place.times
    if times is None:
        return
    for answer in answers:
        if answer.dead in UNANSWERABLE and not answer.aborted and counts_for(ranking, answer, place.horizons):
            if at_close and answer.asked_ms != ranking.time_ms:
                continue
            if _came_in_time(ranking, answer, place.horizons, times, at_close=at_close):
                yield answer


def _came_in_time(
    ranking: RankingRead, answer: OutcomeRead, horizons: Horizons, times: PartitionTimes, *, at_close: bool
) -> bool:
    """Return whether neither can have been given up before the other was read, in whatever order the topics were."""
    settled_ms = ranking.time_ms + horizons.disorder_ms if at_close else answer.time_ms + horizons.settle_ms
    read_by_ms = max(answer.newest_ms, times.reached_ms(answer.timestamp_ms), NO_TIME)
    lain_ms = answer.timestamp_ms - ranking.timestamp_ms
    return (
        ranking.reached_ms <= settled_ms
        and read_by_ms <= ranking.time_ms + horizons.complete_ms
        and lain_ms <= horizons.complete_ms
    )

"""Why a ranking or an answer cannot count: codes and sentences of dead letters, the same for both ways to emit."""

from collections.abc import Iterable
from typing import NamedTuple

from stream_scorer.core.joining.known_requests import OpenRequest
from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.messages import Acceptance


class Reason(NamedTuple):
    """The code of a dead letter and its sentence, which holds no personal data."""

    code: str
    message: str


REUSED = Reason("request_id_reused", "the request id was used before with another event_time_ms")
NOT_RANKED = Reason("offer_not_ranked", "the offer was not in the ranking of this request")
OF_ANOTHER = Reason("another_customer", "the request was another customer's")
UNKNOWN_REQUEST = Reason("unknown_request", "no ranking of this request is known, or it is forgotten by now")
NEVER_RANKED = Reason("unknown_request", "no ranking of this request has come")
TIME_MISSING = Reason("request_time_missing", "labels at the close need request_time_ms on every acceptance")
SHED = Reason(
    "too_many_waiting",
    "more outcomes wait for their rankings than join.open_requests_max allows, and this is the oldest",
)


def from_the_future(horizons: Horizons) -> Reason:
    """Return the reason against an event too far ahead of the broker's clock."""
    return Reason("from_the_future", f"event_time_ms must be at most {horizons.skew_ms} ms after the broker's time")


def labels_too_large(bytes_max: int) -> Reason:
    """Return the reason against a ranking whose labels would be larger than a record may be."""
    return Reason("ranking_too_large", f"the ranking with its labels would take more than {bytes_max} bytes")


def before_its_request(horizons: Horizons) -> Reason:
    """Return the reason against an answer that is older than its request by more than is allowed."""
    return Reason("before_its_request", f"the answer is more than {horizons.back_ms} ms before its request")


def outcome_too_late(horizons: Horizons) -> Reason:
    """Return the reason against an answer after which its label could change no more."""
    return Reason("outcome_too_late", f"the answer is more than {horizons.usable_ms} ms after its request")


def why_unanswerable(
    acceptance: Acceptance, own: OpenRequest | None, namesakes: Iterable[OpenRequest], horizons: Horizons
) -> Reason:
    """Return why an answer that has waited for long enough counts nowhere.

    `own` is the request of its id and customer, `namesakes` are all requests of its id, that are in memory.

    A request counts as known only where it is remembered until the answer is settled, by the times of both: what
    happens to be in memory, which a restart or the size of batches may change, makes no difference.
    """

    def is_remembered(request: OpenRequest) -> bool:
        return acceptance.event_time_ms + horizons.settle_ms <= request.time_ms + horizons.remember_ms

    requested_ms = own.time_ms if own is not None and is_remembered(own) else acceptance.request_time_ms
    if requested_ms is not None and acceptance.event_time_ms > requested_ms + horizons.usable_ms:
        return outcome_too_late(horizons)
    # the first other that is remembered decides: a mailing gives thousands of customers one request id
    others = (request for request in namesakes if request.customer_id != acceptance.customer_id)
    return OF_ANOTHER if any(map(is_remembered, others)) else UNKNOWN_REQUEST

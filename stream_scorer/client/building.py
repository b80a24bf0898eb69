"""Makes requests and acceptances, with an id and the time where none is given, checked as the ranker checks them."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from stream_scorer.adapters.local.clock import SystemClock
from stream_scorer.core.messages import LIMIT_DEFAULT, Acceptance, CustomerRequest, Filter, Ranking, RequestedOffer
from stream_scorer.errors import UsageError
from stream_scorer.services.operating.given_messages import checked, fields_of

_CLOCK = SystemClock()


def new_request(
    customer_id: str,
    features: Mapping[str, Any],
    *,
    offers: Sequence[str] | Sequence[RequestedOffer] | Sequence[Mapping[str, Any]] | None = None,
    exclude: Sequence[str] = (),
    filters: Sequence[Filter | Mapping[str, Any]] = (),
    limit: int = LIMIT_DEFAULT,
    request_id: str | None = None,
    event_time_ms: int | None = None,
) -> CustomerRequest:
    """Return a request; `offers` None: choose from the whole catalog, []: nothing is eligible.

    Offers are ids, or all of them objects `{"offer_id": …, "features": …}` whose features count for this request alone.
    Times are milliseconds since 1970, UTC; without one it is now. Raises UsageError for what the ranker would refuse.
    """
    fields = {
        "request_id": request_id or uuid.uuid4().hex,
        "customer_id": customer_id,
        "event_time_ms": _CLOCK.now_ms() if event_time_ms is None else event_time_ms,
        "features": features,
        "offers": None if offers is None else [each if isinstance(each, str) else fields_of(each) for each in offers],
        "exclude": list(exclude),
        "filters": [fields_of(each) for each in filters],
        "limit": limit,
    }
    return checked(fields, CustomerRequest)[0]


def new_acceptance(
    ranking: Ranking,
    offer_id: str,
    *,
    accepted: bool = True,
    acceptance_id: str | None = None,
    event_time_ms: int | None = None,
) -> Acceptance:
    """Return the customer's answer to an offer of a ranking; with `accepted` False it was declined.

    Send the same message again where it is unknown whether it arrived: its id makes it count once. Raises UsageError
    for an offer that is not in the ranking, which could count in no label.
    """
    if all(offer.offer_id != offer_id for offer in ranking.offers):
        raise UsageError(f"offer {offer_id!r} is not among the {len(ranking.offers)} of request {ranking.request_id!r}")
    fields = {
        "acceptance_id": acceptance_id or uuid.uuid4().hex,
        "request_id": ranking.request_id,
        "customer_id": ranking.customer_id,
        "offer_id": offer_id,
        "accepted": accepted,
        "event_time_ms": _CLOCK.now_ms() if event_time_ms is None else event_time_ms,
        "request_time_ms": ranking.event_time_ms,
    }
    return checked(fields, Acceptance)[0]

"""Whether rankings carry what their requests state of offers: what is ignored would be missing in labels, too.

A ranker that ignores all of it scores by the catalog and carries the catalog's features, so that scores alone agree.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from stream_scorer.core.messages import CustomerRequest, RankedOffer, Ranking
from stream_scorer.core.verifying.judgements import Fault

_encode = msgspec.json.Encoder().encode

Stated = Mapping[str, Mapping[str, Any]]  # by offer id


def statement_faults(
    rankings: Sequence[Ranking], requests: Sequence[CustomerRequest], carried: Collection[str] | None
) -> tuple[int, list[Fault]]:
    """Return how many rankings have their request among these, and the faults; `carried` None: all features are.

    Where a request was sent twice, and stated other features or none, its ranking may carry either. One sent again
    later is apart by its event time, so that its ranking is not held against it once the first has expired.
    """
    asked: dict[tuple[str, str, int], list[Stated]] = {}
    for request in requests:
        stated = {one.offer_id: one.features for one in request.stated_offers if one.features}
        asked.setdefault((request.request_id, request.customer_id, request.event_time_ms), []).append(stated)
    stating = {key: statements for key, statements in asked.items() if any(statements)}
    keyed = [((one.request_id, one.customer_id, one.event_time_ms), one) for one in rankings]
    held = [(one, stating[key]) for key, one in keyed if key in stating]
    return len(held), list(_faults(held, carried))


def _faults(held: Sequence[tuple[Ranking, list[Stated]]], carried: Collection[str] | None) -> Iterator[Fault]:
    for ranking, statements in held:
        ignored = [
            next((one.offer_id for one in ranking.offers if not _carries(one, stated, carried)), None)
            for stated in statements
        ]
        if None not in ignored:
            what = f"the features of {ignored[0]} are not those that its request states"
            yield Fault("offer_features_ignored", f"{ranking.request_id}: {what}")


def _carries(offer: RankedOffer, stated: Stated, carried: Collection[str] | None) -> bool:
    due = {name: value for name, value in stated.get(offer.offer_id, {}).items() if carried is None or name in carried}
    # as bytes, since True equals 1.0
    return _encode(due) == _encode({name: offer.features[name] for name in due if name in offer.features})

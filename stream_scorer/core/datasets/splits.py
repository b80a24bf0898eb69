"""Splits rows into those to learn from and the later ones, which are held out."""

import numpy as np

from stream_scorer.core.datasets.training_set import Places, TrainingSet

_BY_KNOWN_MIN = 0.95  # share of the held-out acceptances by customers known from before
# The multiplier of Knuth's multiplicative hash (2**32 over the golden ratio), and a multiplier of SplitMix64.
_SCATTER, _SCATTER_MAX, _MIX = np.uint64(2_654_435_769), np.uint64(2**32), np.uint64(0xBF58476D1CE4E5B9)


def split_by_time(data: TrainingSet, share: float) -> tuple[Places, Places]:
    """Return the rows to learn from and the held-out ones, which are the latest; a request is never split.

    Where all rows have the same time, requests are split by a hash.
    """
    rows = np.arange(len(data))
    if not share:
        return rows, rows[:0]
    times = data.request_time_ms
    if times[0] == times[-1]:
        late = data.request.astype(np.uint64) * _SCATTER % _SCATTER_MAX < np.uint64(int(share * int(_SCATTER_MAX)))
    else:
        # The first moment is never held out, so that something is left to learn from.
        late = times >= max(int(times[int(len(data) * (1 - share))]), int(times[0]) + 1)
    return _both(data, late)


def split_within_customers(data: TrainingSet, share: float) -> tuple[Places, Places]:
    """Hold out the latest acceptances of each customer, for towers that know customers by their id.

    Every customer keeps at least one acceptance to learn from. Acceptances of the same time are ordered by a hash of
    customer and offer, so that no offer is held out everywhere; a fractional share of a customer's acceptances is
    rounded by a hash of the customer.
    """
    rows = np.arange(len(data))
    if not share:
        return rows, rows[:0]
    accepted = np.flatnonzero(data.accepted == 1)
    pair = data.who[accepted].astype(np.uint64) * _SCATTER_MAX + data.offer[accepted].astype(np.uint64)
    scattered = ((pair ^ (pair >> np.uint64(29))) * _MIX) >> np.uint64(32)
    order = accepted[np.lexsort((scattered, data.request_time_ms[accepted], data.who[accepted]))]
    who, first, count = np.unique(data.who[order], return_index=True, return_counts=True)
    chance = (who.astype(np.uint64) * _SCATTER % _SCATTER_MAX).astype(np.float64) / float(_SCATTER_MAX)
    # A hash in [0, 1) added before truncation rounds up as often as the fraction says.
    held = np.minimum((count * share + chance).astype(np.int64), count - 1)
    place = np.arange(len(order)) - np.repeat(first, count)
    late = np.zeros(len(data), bool)
    late[order[place >= np.repeat(count - held, count)]] = True
    return _both(data, late)


def split_for_ids(data: TrainingSet, share: float) -> tuple[Places, Places]:
    """Split by time where nearly all that is held out is by customers known from before, else within customers.

    Serving looks forward, so time comes first. But a customer who is held out as a whole teaches an id nothing, and
    where customers come once and go, as in sets of ratings, the latest rows would be judged by towers that know none of
    them.
    """
    rows, held_out = split_by_time(data, share)
    times = data.request_time_ms
    if not share or times[0] == times[-1] or not len(held_out):
        return split_within_customers(data, share)
    accepted = held_out[data.accepted[held_out] == 1]
    known = np.zeros(len(data.customer_ids), bool)
    known[data.who[rows[data.accepted[rows] == 1]]] = True
    by_known = known[data.who[accepted]].mean() if len(accepted) else 0.0
    return (rows, held_out) if by_known >= _BY_KNOWN_MIN else split_within_customers(data, share)


def without_some_offers(data: TrainingSet, rows: Places, share: float) -> Places:
    """Leave out the rows of a share of the catalog's offers, always the same offers, as if these were new."""
    scattered = np.arange(len(data.catalog), dtype=np.uint64) * _SCATTER % _SCATTER_MAX
    # An offer outside the catalog is at -1, which picks the last entry: such rows stay.
    as_new = np.append(scattered < np.uint64(int(share * int(_SCATTER_MAX))), False)
    kept = rows[~as_new[data.catalog_of[data.offer[rows]]]]
    return kept if data.accepted[kept].any() else rows


def _both(data: TrainingSet, late: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> tuple[Places, Places]:
    """Return both parts; hold nothing out when no acceptance would be left to learn from."""
    rows = np.arange(len(data))
    if not data.accepted[~late].any():
        return rows, rows[:0]
    return rows[~late], rows[late]

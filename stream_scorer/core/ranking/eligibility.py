"""Decides which offers each request may choose from, and counts how many each rule takes away.

An offer that may not be chosen counts under the first rule that takes it away, in the order of RULES; eligible offers
and those taken away are together the distinct candidates. Whether an offer is valid is judged at the request's event
time. No rule ever widens a choice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import cast

import numpy as np
from numpy.typing import NDArray

from stream_scorer.core.messages import CustomerRequest
from stream_scorer.core.ranking.filters import filter_masks, is_matched
from stream_scorer.core.releases.catalog import ALWAYS_MS, NEVER_MS, Catalog, Flags, Millis, Rows
from stream_scorer.core.releases.offer_overlay import OfferOverlay

RULES = ("unknown_offer", "inactive", "not_yet_valid", "expired", "excluded", "filtered")
UNKNOWN, INACTIVE, EARLY, EXPIRED, EXCLUDED, FILTERED = range(len(RULES))
ELIGIBLE = len(RULES)

NARROW_SHARE = 32  # a choice of at most 1 / NARROW_SHARE of the catalog is listed by row, not masked

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs of a request, by its number in the batch, and an offer, by its catalog row, as two flat arrays."""

    requests: Numbers
    rows: Numbers

    def of(self, numbers: Numbers | Sequence[int]) -> "Candidates":
        """Return the pairs of these requests, in the order of `numbers`; these pairs must ascend by request."""
        starts = np.searchsorted(self.requests, numbers)
        counts = np.searchsorted(self.requests, numbers, side="right") - starts
        # The ranges of all requests end to end, without a Python loop over them.
        places = np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        return Candidates(self.requests[places], self.rows[places])

    def where(self, chosen: Flags) -> "Candidates":
        """Return the marked pairs."""
        return Candidates(self.requests[chosen], self.rows[chosen])


NO_PAIRS = Candidates(np.empty(0, np.int64), np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class Group:
    """Requests that share a mask of the catalog, before their own exclusions; a mask of None is the whole catalog."""

    requests: Numbers
    mask: Flags | None


@dataclass(frozen=True, slots=True)
class EligibleOffers:
    """What a batch of B requests may choose from: every request is in a group, or its eligible offers are in `listed`.

    `excluded` ascends by request; the groups' masks do not reflect it.
    """

    groups: list[Group]
    excluded: Candidates
    listed: Candidates
    eligible_counts: Numbers  # (B,)
    taken_counts: Numbers  # (B, rules)


@dataclass(frozen=True, slots=True)
class _Case:
    """A batch to be judged; `counts` (B, rules + 1) is filled in place, its last column with the eligible offers."""

    requests: Sequence[CustomerRequest]
    catalog: Catalog
    matches: list[Flags | None]
    excluded: Candidates
    counts: Numbers
    overlay: OfferOverlay | None


def choose(
    requests: Sequence[CustomerRequest], catalog: Catalog, overlay: OfferOverlay | None = None
) -> EligibleOffers:
    """Decide which candidates of each request are eligible, and count those that each rule takes away.

    Filters look at what a request states of an offer, by the overlay; all other rules are the catalog's.
    """
    counts = np.zeros((len(requests), ELIGIBLE + 1), np.int64)
    matches = filter_masks([request.filters for request in requests], catalog)
    case = _Case(requests, catalog, matches, _excluded(requests, catalog), counts, overlay)
    groups = []
    listed = [_judge_listed(case)]
    for numbers in _alike(case):
        mask = _judge_whole(case, numbers)
        if mask is None or NARROW_SHARE * np.count_nonzero(mask) > len(catalog):
            groups.append(Group(numbers, mask))
        else:  # to score the whole catalog for a few offers would be waste
            listed.append(_narrow(case, numbers, np.flatnonzero(mask)))
    return EligibleOffers(groups, case.excluded, joined(listed), counts[:, ELIGIBLE], counts[:, :ELIGIBLE])


def _alike(case: _Case) -> list[Numbers]:
    """Group the requests on the whole catalog for which the same offers are valid and that have equal filters."""
    # No offer's validity changes between two bounds, so an event time matters only by the bounds before it.
    bounds_ms = case.catalog.once(_BOUNDS_MS)
    epochs = repeat(0)
    if len(bounds_ms):
        epochs = iter(
            np.searchsorted(bounds_ms, [request.event_time_ms for request in case.requests], side="right").tolist()
        )
    alike: dict[tuple[int, int], list[int]] = {}
    for number, (request, epoch, match) in enumerate(zip(case.requests, epochs, case.matches, strict=False)):
        if request.offers is None:
            # filter_masks gives equal filters the same array, so its identity is enough.
            alike.setdefault((epoch, id(match)), []).append(number)
    return [np.array(numbers, np.int64) for numbers in alike.values()]


def _judge_whole(case: _Case, numbers: Numbers) -> Flags | None:
    """Count the rules for requests that are alike; return the mask of what they may choose from, None: everything."""
    counts, offers, match = case.counts, len(case.catalog), case.matches[numbers[0]]
    valid, invalid_counts = _valid_at(case.catalog, case.requests[numbers[0]].event_time_ms)
    mask = _both(valid, match)
    counts[numbers, INACTIVE : EXPIRED + 1] = invalid_counts
    counts[numbers, FILTERED] = 0 if mask is None else offers - sum(invalid_counts) - np.count_nonzero(mask)
    if len(case.excluded.rows):
        _judge_excluded(case, case.excluded.of(numbers), valid, match)
    counts[numbers, ELIGIBLE] = offers - counts[numbers, :ELIGIBLE].sum(axis=1)
    return mask


def _judge_excluded(case: _Case, excluded: Candidates, valid: Flags | None, match: Flags | None) -> None:
    """Count the valid offers among these as excluded, and no longer as filtered, which is the later rule."""
    counts = case.counts
    if valid is not None:
        excluded = excluded.where(valid[excluded.rows])
    counts[:, EXCLUDED] += np.bincount(excluded.requests, minlength=len(counts))
    if match is not None:
        counts[:, FILTERED] -= np.bincount(excluded.where(~match[excluded.rows]).requests, minlength=len(counts))


def _judge_listed(case: _Case) -> Candidates:
    """Count the first rule that takes each candidate of requests that list their own; return those that none takes."""
    requests, catalog, counts = case.requests, case.catalog, case.counts
    numbers = [number for number, request in enumerate(requests) if request.offers is not None]
    if not numbers:
        return NO_PAIRS
    pairs = _rows_of(numbers, [requests[number].offer_ids for number in numbers], catalog)
    counts[:, UNKNOWN] = np.bincount(pairs.requests[pairs.rows < 0], minlength=len(counts))
    known = pairs.where(pairs.rows >= 0)
    times_ms = np.array([request.event_time_ms for request in requests], np.int64)[known.requests]
    tests = {
        INACTIVE: ~catalog.active[known.rows],
        EARLY: catalog.valid_from_ms[known.rows] > times_ms,
        EXPIRED: catalog.valid_until_ms[known.rows] <= times_ms,
        EXCLUDED: is_in(known, case.excluded, len(catalog)),
        FILTERED: ~_matched(known, case),
    }
    # np.select takes the first test that is true, so the tests stand in the order of RULES.
    rules = np.select(list(tests.values()), list(tests), ELIGIBLE)
    places = known.requests * counts.shape[1] + rules
    counts += np.bincount(places, minlength=counts.size).reshape(counts.shape)
    return known.where(rules == ELIGIBLE)


def _matched(pairs: Candidates, case: _Case) -> Flags:
    matched = np.ones(len(pairs.rows), bool)
    stated = None if case.overlay is None else case.overlay.places(pairs.requests, pairs.rows)
    for number in np.unique(pairs.requests).tolist():
        match = case.matches[number]
        if match is not None:
            own = slice(*np.searchsorted(pairs.requests, (number, number + 1)).tolist())
            matched[own] = match[pairs.rows[own]]
            if case.overlay is not None and stated is not None:
                here = np.flatnonzero(stated[own] >= 0) + own.start
                features = [case.overlay.features[place] for place in stated[here].tolist()]
                matched[here] = is_matched(case.requests[number].filters, features)
    return matched


def _narrow(case: _Case, numbers: Numbers, rows: Numbers) -> Candidates:
    pairs = Candidates(np.repeat(numbers, len(rows)), np.tile(rows, len(numbers)))
    return pairs.where(~is_in(pairs, case.excluded, len(case.catalog)))


def is_in(pairs: Candidates, others: Candidates, offers: int) -> Flags:
    """Mark the pairs that are among the others, in a catalog of so many offers."""
    # A pair becomes a single number, so that np.isin compares pairs.
    return np.isin(pairs.requests * offers + pairs.rows, others.requests * offers + others.rows)


def _rows_of(numbers: Sequence[int], offer_ids: Sequence[Sequence[str]], catalog: Catalog) -> Candidates:
    """Return the catalog rows of each request's distinct ids, ascending; -1 for each id that the catalog lacks."""
    find = cast("Callable[[str, int], int]", catalog.index.get)
    rows = [sorted(map(find, dict.fromkeys(ids), repeat(-1))) for ids in offer_ids]
    counts = [len(some) for some in rows]
    flat = np.fromiter(chain.from_iterable(rows), np.int64, sum(counts))
    return Candidates(np.repeat(np.array(numbers, np.int64), counts), flat)


def joined(parts: Sequence[Candidates]) -> Candidates:
    """Return the pairs of all parts, in their order."""
    return Candidates(
        np.concatenate([pairs.requests for pairs in parts]), np.concatenate([pairs.rows for pairs in parts])
    )


def _excluded(requests: Sequence[CustomerRequest], catalog: Catalog) -> Candidates:
    numbers = [number for number, request in enumerate(requests) if request.exclude]
    if not numbers:
        return NO_PAIRS
    pairs = _rows_of(numbers, [requests[number].exclude for number in numbers], catalog)
    return pairs.where(pairs.rows >= 0)


class _BoundsMs:
    """Makes the times at which any offer's validity changes, ascending; between two of them nothing changes."""

    __slots__ = ()

    def __call__(self, catalog: Catalog) -> Millis:
        bounds_ms = np.unique(np.concatenate([catalog.valid_from_ms, catalog.valid_until_ms]))
        bounded: Millis = bounds_ms[(bounds_ms != ALWAYS_MS) & (bounds_ms != NEVER_MS)]
        return bounded

    def followed(self, made: object, catalog: Catalog, rows: Rows) -> Millis:
        """See FollowsChanges. A time that is no offer's any longer stays: it only divides what is alike."""
        if len(cast("Millis", made)) > 4 * len(catalog):  # twice as many as all offers can have
            return self(catalog)
        stated = np.concatenate([catalog.valid_from_ms[rows], catalog.valid_until_ms[rows]])
        fresh = stated[(stated != ALWAYS_MS) & (stated != NEVER_MS)]
        return np.union1d(cast("Millis", made), fresh)


_BOUNDS_MS = _BoundsMs()


def _valid_at(catalog: Catalog, time_ms: int) -> tuple[Flags | None, tuple[int, int, int]]:
    """Mark the offers that are active and valid, None where all are; count the inactive, early and expired ones."""
    if not len(catalog.once(_BOUNDS_MS)) and catalog.active.all():
        return None, (0, 0, 0)
    started = catalog.active & (catalog.valid_from_ms <= time_ms)
    valid = started & (catalog.valid_until_ms > time_ms)
    left = [int(np.count_nonzero(flags)) for flags in (catalog.active, started, valid)]
    return valid, (len(catalog) - left[0], left[0] - left[1], left[1] - left[2])


def _both(one: Flags | None, other: Flags | None) -> Flags | None:
    """Combine two masks; None stands for a mask that is true everywhere."""
    return other if one is None else one if other is None else one & other

"""Scores offers and picks the best, exactly.

The order is that of the float64 dot product of a customer's vector with the published float32 offer vectors, ties
broken by the lower offer id, whatever the batch.

Single precision only finds candidates. Let s be an offer's exact score and s32 its score in single precision, with
|s32 - s| <= e for every offer. Then k offers with s32 >= t have s >= t - e, so the k-th best score is at least t - e,
and every offer that reaches it has s32 >= t - 2e. The threshold t is the k-th largest of the maxima of groups of
offers; these maxima belong to k different offers. What passes is scored again in float64, each pair by itself and in a
fixed order of summation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_scorer.core.messages import CustomerRequest
from stream_scorer.core.ranking.eligibility import RULES, Candidates, EligibleOffers, Group, Numbers, choose, joined
from stream_scorer.core.ranking.index_search import search_index
from stream_scorer.core.releases.catalog import Catalog, Flags, Vectors
from stream_scorer.core.releases.offer_overlay import OfferOverlay
from stream_scorer.core.releases.precision import margins

PASS_FLAGS_MAX = 64_000_000  # offers times requests of one pass: its masks take as many bytes at most
PASS_IDS_MAX = 500_000  # ids in the offers and exclude lists of one pass
SCORES_BYTES_MAX = 16_000_000  # float32 scores at a time
CANDIDATES_MAX = 250_000  # offers near the best, of some requests at a time
RESCORED_BYTES_MAX = 250_000  # float64 vectors at a time: two arrays that stay in the cache and need no fresh pages
GROUP_OFFERS_MAX = 64

Customers = NDArray[np.float64]
Scores = NDArray[np.float64]
Scores32 = NDArray[np.float32]
Scored = tuple[Candidates, Scores]


@dataclass(frozen=True, slots=True)
class Ranked:
    """The best offers of request i are `rows[starts[i]:starts[i + 1]]`, best first; counts are per request."""

    starts: Numbers  # (B + 1,)
    rows: Numbers  # (M,)
    scores: Scores  # (M,)
    eligible_counts: Numbers  # (B,)
    taken_counts: Numbers  # (B, rules)
    propensities: Scores | None = None  # (M,); None: all are 1, since a request always gets the same offers
    by_index: Flags | None = None  # (B,), whose candidates an index gave; None: nobody's
    tower_ranks: Numbers | None = None  # (M,), places by `scores` alone, from 1; None: there is no second stage
    reranker_scores: Scores | None = None  # (M,), which the order is by; None: there is no second stage

    def taking(self, starts: Numbers, places: Numbers) -> "Ranked":
        """Return the rankings of these places (m,) of all offers; request i has those from starts[i] on."""
        columns: dict[str, Any] = {
            name: None if (column := getattr(self, name)) is None else column[places]
            for name in ("rows", "scores", "propensities", "tower_ranks", "reranker_scores")
        }
        return replace(self, starts=starts, **columns)

    def excluded(self, request: int) -> dict[str, int]:
        """Return how many offers each rule took from a request, without the rules that took none."""
        return {rule: count for rule, count in zip(RULES, self.taken_counts[request].tolist(), strict=True) if count}


def rank(
    requests: Sequence[CustomerRequest],
    customers: Customers,
    catalog: Catalog,
    *,
    limits: Numbers | None = None,
    exact: bool = False,
    overlay: OfferOverlay | None = None,
) -> Ranked:
    """Rank for each request the offers it may choose from, up to `limits` or else its own; `customers` is (B, p).

    With `exact`, an index that the catalog has is not used. `overlay` has the offers of which the requests state
    features; without it the catalog's own count.
    """
    if limits is None:
        limits = np.array([request.limit for request in requests], np.int64)
    passes = [
        _rank_pass(
            requests[part],
            customers[part],
            catalog,
            limits[part],
            exact=exact,
            overlay=None if overlay is None else overlay.of(part, len(requests)),
        )
        for part in _passes(requests, len(catalog))
    ]
    if len(passes) == 1:
        return passes[0]
    lengths = np.concatenate([np.diff(ranked.starts) for ranked in passes])
    return Ranked(
        np.concatenate([[0], np.cumsum(lengths)]),
        np.concatenate([ranked.rows for ranked in passes]),
        np.concatenate([ranked.scores for ranked in passes]),
        np.concatenate([ranked.eligible_counts for ranked in passes]),
        np.concatenate([ranked.taken_counts for ranked in passes]),
        by_index=_flags(passes),
    )


def _flags(passes: Sequence[Ranked]) -> Flags | None:
    flags = [ranked.by_index for ranked in passes if ranked.by_index is not None]
    return np.concatenate(flags) if flags else None  # of one catalog, so all passes have flags or none has


def _passes(requests: Sequence[CustomerRequest], offers: int) -> list[slice]:
    """Cut a batch into passes so that the memory of each is bounded, whatever its requests ask for."""
    ids = [len(request.exclude) + len(request.offers or ()) for request in requests]
    requests_max = max(1, PASS_FLAGS_MAX // max(1, offers))
    if len(requests) <= requests_max and sum(ids) <= PASS_IDS_MAX:
        return [slice(None)]
    cuts, size = [0], 0
    for number, more in enumerate(ids):
        size += more
        if number > cuts[-1] and (size > PASS_IDS_MAX or number - cuts[-1] >= requests_max):
            cuts.append(number)
            size = more
    return [slice(start, end) for start, end in pairwise([*cuts, len(requests)])]


def _rank_pass(
    requests: Sequence[CustomerRequest],
    customers: Customers,
    catalog: Catalog,
    limits: Numbers,
    *,
    exact: bool,
    overlay: OfferOverlay | None,
) -> Ranked:
    choices = choose(requests, catalog, overlay)
    found: list[Scored] = []
    answered = None if catalog.nearest is None else np.zeros(len(requests), bool)
    if answered is not None and not exact and choices.groups:
        filtered = np.array([bool(request.filters) for request in requests])
        found, answered = _by_index(choices, customers, catalog, limits, filtered)
        choices = replace(choices, groups=_without(choices.groups, answered))
    found += [
        _best(pairs, customers, catalog, limits, overlay) for pairs in _candidates(choices, customers, catalog, limits)
    ]
    numbers = np.concatenate([pairs.requests for pairs, _ in found])
    rows = np.concatenate([pairs.rows for pairs, _ in found])
    scores = np.concatenate([scores for _, scores in found])
    # A request's offers all come from a single part, best first, and a stable sort keeps them so.
    order = np.argsort(small(numbers), kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(numbers, minlength=len(requests)))])
    return Ranked(starts, rows[order], scores[order], choices.eligible_counts, choices.taken_counts, by_index=answered)


def _by_index(
    choices: EligibleOffers, customers: Customers, catalog: Catalog, limits: Numbers, filtered: Flags
) -> tuple[list[Scored], Flags]:
    """Return the best offers of the requests that the index answers, and mark these requests (B,)."""
    searched = search_index(choices, customers.astype(np.float32), catalog, limits, filtered)
    found = [_best(pairs, customers, catalog, limits) for pairs in searched.candidates]
    lowest = np.full(len(limits), np.nan)
    for pairs, scores in found:
        lowest[pairs.requests] = scores  # best first: the last of a request stays
    answered = ~np.isnan(lowest)
    if searched.last:
        last = joined(searched.last)
        # Where the last candidate reaches the ranking's end, offers that tie with it may have been left in the lists,
        # and the order of ids decides between these: only all offers tell who comes first.
        tied = exact_scores(last, customers, catalog.vectors) >= lowest[last.requests]
        answered[last.requests[tied]] = False
    return [_marked(scored, answered) for scored in found], answered


def _marked(scored: Scored, answered: Flags) -> Scored:
    pairs, scores = scored
    marked = answered[pairs.requests]
    return pairs.where(marked), scores[marked]


def _without(groups: Sequence[Group], answered: Flags) -> list[Group]:
    left = [Group(group.requests[~answered[group.requests]], group.mask) for group in groups]
    return [group for group in left if len(group.requests)]


def _candidates(
    choices: EligibleOffers, customers: Customers, catalog: Catalog, limits: Numbers
) -> Iterator[Candidates]:
    """Yield pairs for some requests at a time; the best offers of each request are among its pairs."""
    yield choices.listed
    if len(catalog) and choices.groups:
        customers32 = customers.astype(np.float32)
        for numbers, masks in _blocks(choices.groups, limits, len(catalog)):
            scores = _scores32(customers32[numbers], catalog, masks, limit=int(limits[numbers].max()))
            if len(choices.excluded.rows):
                _ban(scores, numbers, choices.excluded.of(numbers))
            yield from _near_best(scores, numbers, limits[numbers], margins(customers32[numbers]))


def exact_scores(pairs: Candidates, customers: Customers, vectors: Vectors) -> Scores:
    """Return the float64 dot product of every pair (M,), summed in an order that does not depend on the batch."""
    scores = np.empty(len(pairs.rows))
    step = max(1, RESCORED_BYTES_MAX // (16 * vectors.shape[1]))
    for start in range(0, len(scores), step):
        part = slice(start, start + step)
        offers = vectors.take(pairs.rows[part], axis=0).astype(np.float64)
        scores[part] = np.einsum("ij,ij->i", customers.take(pairs.requests[part], axis=0), offers)
    return scores


def overlaid_scores(pairs: Candidates, customers: Customers, catalog: Catalog, overlay: OfferOverlay | None) -> Scores:
    """Return the exact score of every pair (M,), by the overlay's vector where its request states the offer's."""
    scores = exact_scores(pairs, customers, catalog.vectors)
    if overlay is not None:
        places = overlay.places(pairs.requests, pairs.rows)
        stated = places >= 0
        scores[stated] = exact_scores(Candidates(pairs.requests[stated], places[stated]), customers, overlay.vectors)
    return scores


def _best(
    pairs: Candidates, customers: Customers, catalog: Catalog, limits: Numbers, overlay: OfferOverlay | None = None
) -> Scored:
    """Score the pairs exactly, sort them by request, score and offer id, and cut each request at its limit."""
    if not len(pairs.rows):
        return pairs, np.empty(0)
    scores = overlaid_scores(pairs, customers, catalog, overlay)
    order = np.argsort(-scores, kind="stable")
    order = order[np.argsort(small(pairs.requests[order]), kind="stable")]
    numbers, sorted_scores = pairs.requests[order], scores[order]
    # Ties are rare, so only where there are any does the sort take offer ids into account, by row.
    if ((numbers[1:] == numbers[:-1]) & (sorted_scores[1:] == sorted_scores[:-1])).any():
        order = np.lexsort((pairs.rows, -scores, pairs.requests))  # a lower row has the lower id
        sorted_scores = scores[order]
    counts = np.bincount(numbers, minlength=len(limits))
    places = np.arange(len(numbers)) - (np.cumsum(counts) - counts)[numbers]
    kept = places < limits[numbers]
    return Candidates(numbers[kept], pairs.rows[order[kept]]), sorted_scores[kept]


def small(numbers: Numbers) -> NDArray[np.uint16] | Numbers:
    """Return the same numbers as 16-bit integers where they fit, since numpy sorts these by radix."""
    return numbers.astype(np.uint16) if numbers.max(initial=0) < 2**16 else numbers


Masks = list[tuple[slice, NDArray[np.bool_]]]


def _blocks(groups: Sequence[Group], limits: Numbers, offers: int) -> Iterator[tuple[Numbers, Masks]]:
    """Yield blocks of requests of like limits whose scores fit the buffer, with the mask of each stretch of a block."""
    block_max = max(1, SCORES_BYTES_MAX // (4 * offers))
    numbers = np.concatenate([np.empty(0, np.int64), *(group.requests for group in groups)])
    groups_of = np.repeat(np.arange(len(groups)), [len(group.requests) for group in groups])
    classes = _limit_class(limits[numbers])
    for limit_class in np.unique(classes).tolist():
        alike = classes == limit_class
        some, some_groups = numbers[alike], groups_of[alike]
        for start in range(0, len(some), block_max):
            block = slice(start, start + block_max)
            yield some[block], _stretches(some_groups[block], groups)


def _limit_class(limits: Numbers) -> Numbers:
    """Put limits within a factor of four together, so that a single long ranking does not slow the others."""
    return np.ceil(np.log2(np.maximum(limits, 16)) / 2).astype(np.int64)


def _stretches(groups_of: Numbers, groups: Sequence[Group]) -> Masks:
    masks: Masks = []
    for number in np.unique(groups_of).tolist():
        mask = groups[number].mask
        if mask is not None:
            masks.append((slice(*np.searchsorted(groups_of, (number, number + 1)).tolist()), mask))
    return masks


def _scores32(customers: Scores32, catalog: Catalog, masks: Masks, *, limit: int) -> Scores32:
    """Return scores (B, g, G) in G groups of g offers: offer j is in group j modulo G; -inf may not be chosen."""
    offers = len(catalog)
    # Larger groups leave fewer maxima to partition, but more offers to scan where a group passes; 1.5 was measured.
    group = int(np.clip(np.sqrt(offers / (1.5 * limit)), 1, GROUP_OFFERS_MAX))
    groups = -(-offers // group)
    scores = np.empty((len(customers), group * groups), np.float32)
    np.matmul(customers, catalog.vectors.T, out=scores[:, :offers])
    scores[:, offers:] = -np.inf
    for stretch, mask in masks:
        scores[stretch, :offers] += np.where(mask, np.float32(0), np.float32(-np.inf))
    return scores.reshape(len(customers), group, groups)


def _ban(scores: Scores32, numbers: Numbers, excluded: Candidates) -> None:
    """Set the scores of excluded offers to -inf, in place."""
    place_of = np.zeros(int(numbers.max()) + 1, np.int64)
    place_of[numbers] = np.arange(len(numbers))
    inner, columns = np.divmod(excluded.rows, scores.shape[2])
    scores[place_of[excluded.requests], inner, columns] = -np.inf


def _near_best(scores: Scores32, numbers: Numbers, limits: Numbers, margins: Scores32) -> Iterator[Candidates]:
    """Yield every offer within the margin of the limit-th largest maximum; scan only groups whose own maximum is."""
    maxima = scores.max(axis=1)
    # The lowest finite number bounds the threshold, so that an offer at -inf, which may not be chosen, never passes.
    thresholds = np.maximum(_nth_largest(maxima, limits) - margins, np.finfo(np.float32).min)
    passing = maxima >= thresholds[:, None]
    for part in _portions(np.count_nonzero(passing, axis=1) * scores.shape[1]):
        yield _found(scores[part], passing[part], thresholds[part], numbers[part])


def _portions(sizes: Numbers) -> list[slice]:
    """Cut rows so that few candidates are in memory at a time, even when all offers tie; a row is never cut."""
    ends = np.cumsum(sizes)
    if ends[-1] <= CANDIDATES_MAX:
        return [slice(None)]
    cuts = np.unique(np.searchsorted(ends, np.arange(CANDIDATES_MAX, ends[-1], CANDIDATES_MAX), side="right"))
    return [slice(start, end) for start, end in pairwise([0, *cuts[cuts > 0].tolist(), len(sizes)]) if start < end]


def _found(scores: Scores32, passing: NDArray[np.bool_], thresholds: Scores32, numbers: Numbers) -> Candidates:
    _, group, groups = scores.shape
    places, columns = np.divmod(np.flatnonzero(passing), groups)
    found, inner = np.divmod(np.flatnonzero(scores[places, :, columns] >= thresholds[places, None]), group)
    return Candidates(numbers[places[found]], columns[found] + inner * groups)


def _nth_largest(maxima: Scores32, limits: Numbers) -> Scores32:
    """Return the limit-th largest of each row's maxima (B, G), or -inf where a row has fewer groups than its limit."""
    places = maxima.shape[1] - limits
    wanted = np.unique(places[places >= 0])
    if not len(wanted):
        return np.full(len(limits), -np.inf, np.float32)
    found = np.partition(maxima, wanted, axis=1)[np.arange(len(limits)), np.maximum(places, 0)]
    return np.where(places >= 0, found, np.float32(-np.inf))

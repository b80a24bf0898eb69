"""Draws rankings that try other offers now and then (epsilon plus softmax), with the probability of each choice.

The places are filled from the top down. The offer for a place is drawn from those still left of the request's pool,
its best `pool` offers: with probability `floor` (epsilon) any of them with equal chance, else by the softmax of their
scores at `temperature` (the Plackett-Luce model). So an offer's propensity is its probability to come next, given the
offers above it, and never below floor / pool.

The draws are not random: each is a hash of the request id, the customer id and the offer id, so that a request always
gets the same ranking, and the customers of a mailing, who share its request id, get draws of their own. No hash takes
part in a propensity, which follows from the scores, the pool and these settings. The softmax draws are an exponential
race: the least of -log(u) / exp(score / temperature) is distributed as the softmax, and the rest of the race is
distributed as if the winner had not taken part.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xxhash
from numpy.typing import NDArray

from stream_scorer.core.messages import CustomerRequest
from stream_scorer.core.ranking.best_offers import Ranked, Scores
from stream_scorer.core.ranking.eligibility import Numbers
from stream_scorer.core.releases.catalog import Catalog, Rows

Hashes = NDArray[np.uint64]

# Constants of SplitMix64 (Steele, Lea, Flood, Fast splittable pseudorandom number generators, 2014).
_GAMMA, _MIX_1, _MIX_2 = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB], np.uint64)
_RACE, _ALIKE, _COIN = np.array(
    [0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0], np.uint64
)  # the first digits of pi: arbitrary, they give each of the three kinds of draw its own stream of hashes


@dataclass(frozen=True, slots=True)
class Exploration:
    """How far to explore: temperature above 0, floor (epsilon) in [0, 1), and the size of each request's pool."""

    temperature: float
    floor: float
    pool: int

    def pool_sizes(self, requests: Sequence[CustomerRequest]) -> Numbers:
        """Return how many offers must be ranked for each request, so that its ranking can be drawn from them."""
        return np.array([max(request.limit, self.pool) for request in requests], np.int64)


def explore(requests: Sequence[CustomerRequest], ranked: Ranked, catalog: Catalog, exploration: Exploration) -> Ranked:
    """Draw each request's ranking from its pool, which is the best offers that `Exploration.pool_sizes` asked for."""
    widths = exploration.pool_sizes(requests)
    kept = np.minimum([request.limit for request in requests], np.diff(ranked.starts)).astype(np.int64)
    salts = np.array([_salt(request) for request in requests], np.uint64)
    shape = (len(requests), int(kept.max(initial=0)))
    columns, chances = np.zeros(shape, np.int64), np.ones(shape)
    for width in np.unique(
        widths[kept > 0]
    ).tolist():  # the width decides the order of summation, so it must not depend on the batch
        numbers = np.flatnonzero((widths == width) & (kept > 0))
        pools = _pools(ranked, numbers, width, salts[numbers], catalog.once(_OFFER_HASHES))
        columns[numbers], chances[numbers] = _drawn(*pools, salts[numbers], exploration, places=shape[1])
    filled = np.arange(shape[1]) < kept[:, None]
    drawn = (ranked.starts[:-1, None] + columns)[filled]
    starts = np.concatenate([[0], np.cumsum(kept)])
    return replace(ranked.taking(starts, drawn), propensities=chances[filled])


def _salt(request: CustomerRequest) -> int:
    # One id seeds the hash of the other: joined into one text, "a" and "bc" would draw as "ab" and "c" do.
    seed = xxhash.xxh3_64_intdigest(request.request_id.encode())
    return xxhash.xxh3_64_intdigest(request.customer_id.encode(), seed)


def _pools(ranked: Ranked, numbers: Numbers, width: int, salts: Hashes, offers: Hashes) -> tuple[Scores, Hashes]:
    """Return the pools' scores and hashes, each (b, width); where a pool has fewer offers, its scores end in -inf."""
    columns = np.arange(width)
    inside = columns < np.diff(ranked.starts)[numbers, None]
    places = np.where(inside, ranked.starts[numbers, None] + columns, 0)
    # what the order is by: the draws are from the final order, whichever stage made it
    final = ranked.scores if ranked.reranker_scores is None else ranked.reranker_scores
    scores = np.where(inside, final[places], -np.inf)
    return scores, salts[:, None] + offers[ranked.rows[places]] * _GAMMA


def _drawn(
    scores: Scores, hashes: Hashes, salts: Hashes, exploration: Exploration, *, places: int
) -> tuple[Numbers, Scores]:
    """Fill the places from the top down; return the columns drawn and the probability of each, both (b, places)."""
    temperature, floor = exploration.temperature, exploration.floor
    logits = scores / temperature
    # The race's times as logarithms: the least stays the same, and exp(score / temperature) cannot overflow.
    race = np.log(-np.log(_uniform(hashes + _RACE))) - logits  # inf where there is no offer
    alike = np.where(np.isfinite(scores), _uniform(hashes + _ALIKE), np.inf)
    by_floor = _uniform(salts[:, None] * _GAMMA + np.arange(1, places + 1, dtype=np.uint64) * _COIN) < floor
    each = np.arange(len(scores))
    columns, chances = np.zeros((len(scores), places), np.int64), np.ones((len(scores), places))
    for place in range(places):
        column = np.where(by_floor[:, place], alike.argmin(axis=1), race.argmin(axis=1))
        columns[:, place] = column
        # `alike` is finite exactly where an offer is left, so the count of these is the size of the choice.
        chances[:, place] = (1 - floor) * _softmax_at(logits, column) + floor / np.maximum(
            np.isfinite(alike).sum(axis=1), 1
        )
        # A placed offer leaves all three, so that no later place draws it or counts its score.
        logits[each, column], race[each, column], alike[each, column] = -np.inf, np.inf, np.inf
    return columns, chances


def _softmax_at(logits: Scores, column: Numbers) -> Scores:
    """Return the softmax of each row (b, width) at one of its columns; 0 where a row has nothing left."""
    # Subtracting the largest logit keeps exp from overflowing. Where a row has nothing left it is -inf, and the lowest
    # finite number takes its place, since -inf less -inf is NaN.
    largest = np.maximum(logits.max(axis=1, keepdims=True), np.finfo(np.float64).min)
    weights = np.exp(logits - largest)
    chances: Scores = weights[np.arange(len(column)), column] / np.maximum(
        weights.sum(axis=1), np.finfo(np.float64).tiny
    )
    return chances


def _uniform(hashes: Hashes) -> Scores:
    """Return a number in (0, 1) for each hash, after SplitMix64's finaliser has mixed its bits."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * _MIX_1
    hashes = (hashes ^ (hashes >> np.uint64(27))) * _MIX_2
    hashes ^= hashes >> np.uint64(31)
    # The half keeps 0 and 1 out, so that the logarithms taken of these numbers are finite.
    uniform: Scores = ((hashes >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    return uniform


class _OfferHashes:
    """Makes a hash of each offer's id; use with `Catalog.once`."""

    __slots__ = ()

    def __call__(self, catalog: Catalog) -> Hashes:
        return np.array([xxhash.xxh3_64_intdigest(offer_id.encode()) for offer_id in catalog.offer_ids], np.uint64)

    def followed(self, made: object, catalog: Catalog, rows: Rows) -> object:
        """See FollowsChanges. The ids are as they were."""
        return made


_OFFER_HASHES = _OfferHashes()

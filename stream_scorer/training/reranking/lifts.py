"""Crosses with strong shrinkage: how much likelier than its parts suggest a pair of codes is to be accepted.

A cell with A acceptances where E are expected has the lift (A + s) / (E + s), the posterior mean of a rate whose prior
is a gamma distribution around 1 (DuMouchel 1999, doi:10.1080/00031305.1999.10474456). The strength s is chosen by the
likelihood of all cells of a cross, so that a cross which says nothing shrinks to nothing.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from stream_scorer.core.datasets.training_set import EncodedSide, Ints32, Places, TrainingSet
from stream_scorer.core.features.spec import Bag, Category, FeatureSpec, Floats, Inputs, Number
from stream_scorer.core.reranking.coding import Coding
from stream_scorer.core.reranking.crosses import FACTOR_MAX, NOBODY, Cross, Difference, Match

BINS = 16
DENSE_MAX = 65_536
KEYS_MAX = 1_000_000
_PAIRS_OF_FEATURES_MAX = 30
_DIFFERENCES_MAX = 8
_BAGS_LOOKED_AT = 5_000
_STRENGTHS = 2.0 ** np.arange(-1.0, 11.0)
_NO_KEYS = np.zeros(0, np.int64)


Names = list[tuple[int, int]]
Strengths = dict[tuple[int, int], float]


@dataclass(frozen=True, slots=True)
class CountedRows:
    """What lifts are counted from: codes of rows, acceptances, and how many were to be expected of each row.

    In a log of acceptances alone a row is an acceptance, and any customer is expected to take each offer as often as
    all customers do: `catalog` then has the codes (N, C) of the offers that could be taken.
    """

    customers: Places  # (n, C)
    offers: Places  # (n, C)
    accepted: Floats  # (n,)
    shown_rank: Places  # (n,), 0: unknown
    catalog: Places | None


def coding_of(spec: FeatureSpec, side: EncodedSide, used: Ints32) -> Coding:
    """Cut each number at quantiles of the examples that are used."""
    cuts, column = [], 0
    for one in spec.inputs:
        if isinstance(one, Number):
            cuts.append(_cuts(side.numbers[used, column].astype(np.float64)))
        column += 0 if isinstance(one, Category | Bag) else one.width
    return Coding(spec, tuple(cuts))


def _cuts(values: Floats) -> tuple[float, ...]:
    """Return up to 15 cuts that lie midway between values: neither side of a cut depends on rounding."""
    distinct = np.unique(values)
    if len(distinct) < 2:
        return ()
    wanted = np.unique(np.quantile(values, np.arange(1, BINS) / BINS))
    above = np.clip(np.searchsorted(distinct, wanted, side="right"), 1, len(distinct) - 1)
    return tuple(np.unique((distinct[above - 1] + distinct[above]) / 2).tolist())


def evidence_of(data: TrainingSet, rows: Places, customers: Coding, offers: Coding, *, catalog: bool) -> CountedRows:
    """Return the evidence of some rows; with `catalog`, of the acceptances among them."""
    rows = rows[data.accepted[rows] == 1] if catalog else rows
    mine, theirs = customers.codes(_all(data.customers)), offers.codes(_all(data.offers))
    return CountedRows(
        mine[data.customer[rows]],
        theirs[data.offer[rows]],
        data.accepted[rows].astype(np.float64),
        data.rank[rows].astype(np.int64),
        offers.codes(_all(data.catalog)) if catalog else None,
    )


def _all(side: EncodedSide) -> Inputs:
    return side.inputs(np.arange(len(side)))


def matches_of(customers: FeatureSpec, offers: Coding, counted: Collection[int] = ()) -> tuple[Match, ...]:
    """Return a match for each feature of the customer that names values of an offer's category.

    `counted` are the slots of the customers whose bags name a value several times, see `counted_bags`.
    """
    categories = [slot for slot in offers.spec.slots if isinstance(slot, Category)]
    found = []
    for place, slot in enumerate(customers.slots):
        for number, category in enumerate(categories):
            code_of = {value: 1 + code for code, value in enumerate(category.vocabulary)}
            codes = [code_of.get(value, -1) for value in slot.vocabulary]
            if sum(code >= 0 for code in codes) > len(codes) // 2 and not (isinstance(slot, Category) and slot.is_bool):
                found.append(Match(place, number, np.array([-1, *codes], np.int64), counted=place in counted))
    return tuple(found)


def counted_bags(customers: FeatureSpec, side: EncodedSide) -> frozenset[int]:
    """Return the slots whose bags name a value several times, among a sample of the encoded customers."""
    sample = np.unique(np.linspace(0, len(side) - 1, _BAGS_LOOKED_AT).astype(np.int64))
    return frozenset(
        place
        for place, slot in enumerate(customers.slots)
        if isinstance(slot, Bag) and _names_twice(side, sample * side.slots + place, customers.first_rows[place])
    )


def _names_twice(side: EncodedSide, segments: Places, missing: int) -> bool:
    """Return whether a segment has a table row twice; that of unseen values, which share it, does not count."""
    rows, starts = side.table_rows(segments)
    owner = np.repeat(np.arange(len(segments)), np.diff(starts))[rows != missing]
    keys = np.stack([owner, rows[rows != missing]], axis=1)
    return len(np.unique(keys, axis=0)) < len(keys)


def differences_of(customers: FeatureSpec, offers: FeatureSpec) -> tuple[Difference, ...]:
    """Return the differences of numbers that may be of one kind: read alike, and of ranges that overlap."""
    found = [
        Difference(at, other, 1 / (mine.scale * wide), -1 / (theirs.scale * wide), (mine.mean - theirs.mean) / wide)
        for at, mine in _scaled_numbers(customers)
        for other, theirs in _scaled_numbers(offers)
        if mine.log == theirs.log and mine.reading == theirs.reading
        for wide in [1 / mine.scale + 1 / theirs.scale]
        if abs(mine.mean - theirs.mean) <= wide
    ]
    bounded = [each for each in found if max(abs(each.mine), abs(each.theirs), abs(each.shift)) <= FACTOR_MAX]
    return tuple(bounded[:_DIFFERENCES_MAX])


def _scaled_numbers(spec: FeatureSpec) -> Iterator[tuple[int, Number]]:
    """Yield each number that varies, and its column."""
    column = 0
    for one in spec.inputs:
        if isinstance(one, Number) and one.scale > 0:
            yield column, one
        column += 0 if isinstance(one, Category | Bag) else one.width


def names_of_crosses(customers: Coding, offers: Coding) -> Names:
    """Return which features to cross: each of the offer's by itself, and the smaller pairs of both sides."""
    pairs = [
        (mine, theirs)
        for mine, height in enumerate(customers.heights)
        for theirs, other in enumerate(offers.heights)
        if height > 2 and other > 2
    ]
    pairs.sort(key=lambda pair: customers.heights[pair[0]] * offers.heights[pair[1]])
    return [*((NOBODY, theirs) for theirs in range(len(offers.heights))), *pairs[:_PAIRS_OF_FEATURES_MAX]]


def strengths_of(evidence: CountedRows, names: Names, customers: Coding, offers: Coding) -> Strengths:
    """Return the strength of each cross's prior; crosses counted from parts of the rows must share it to be alike."""
    return {name: _strength(*_counted(evidence, name, customers, offers)[1:]) for name in names}


def crosses_of(
    evidence: CountedRows, names: Names, strengths: Strengths, customers: Coding, offers: Coding
) -> tuple[Cross, ...]:
    """Count a cross for each pair of features."""
    return tuple(_cross(evidence, name, strengths[name], customers, offers) for name in names)


def _cross(evidence: CountedRows, name: tuple[int, int], strength: float, customers: Coding, offers: Coding) -> Cross:
    mine, theirs = name
    other = offers.heights[theirs]
    full = other * (1 if mine == NOBODY else customers.heights[mine])
    keys, taken, expected = _counted(evidence, name, customers, offers)
    values = _lifts(taken, expected, strength)
    if full <= DENSE_MAX:
        dense = np.zeros(full)
        dense[keys] = values
        return Cross(mine, theirs, other, _NO_KEYS, dense)
    kept = np.sort(np.argsort(-np.abs(values), kind="stable")[:KEYS_MAX])
    return Cross(mine, theirs, other, keys[kept].astype(np.int64), values[kept])


def _counted(
    evidence: CountedRows, name: tuple[int, int], customers: Coding, offers: Coding
) -> tuple[Places, Floats, Floats]:
    """Return the cells of a cross, and how many acceptances each has and should have."""
    mine, theirs = name
    if mine == NOBODY:
        return _alone(evidence, theirs, offers.heights[theirs])
    return _together(evidence, mine, theirs, customers.heights[mine], offers.heights[theirs])


def _alone(evidence: CountedRows, place: int, height: int) -> tuple[Places, Floats, Floats]:
    taken = np.bincount(evidence.offers[:, place], evidence.accepted, minlength=height)
    if evidence.catalog is None:
        expected = np.bincount(evidence.offers[:, place], _by_rank(evidence), minlength=height)
    else:
        there = np.bincount(evidence.catalog[:, place], minlength=height)
        expected = there * (evidence.accepted.sum() / max(1, there.sum()))
    return np.arange(height), taken.astype(np.float64), expected.astype(np.float64)


def _together(evidence: CountedRows, mine: int, theirs: int, height: int, other: int) -> tuple[Places, Floats, Floats]:
    a, b = evidence.customers[:, mine], evidence.offers[:, theirs]
    if evidence.catalog is None:
        base = _by_rank(evidence)
        for codes in (a, b):
            base = base * _rates(codes, evidence.accepted, base)[codes]
        keys, cell = np.unique(a * other + b, return_inverse=True)
        of = cell.reshape(-1)
        taken, expected = np.bincount(of, evidence.accepted), np.bincount(of, base)
        return keys, taken.astype(np.float64), expected.astype(np.float64)
    if height * other <= DENSE_MAX:  # what nobody of a group takes is said of cells without acceptances, too
        keys = np.arange(height * other)
        shares = np.outer(np.bincount(a, minlength=height), np.bincount(b, minlength=other)).reshape(-1) / len(a)
        taken_together = np.bincount(a * other + b, minlength=len(keys))
        return keys, taken_together.astype(np.float64), np.asarray(shares, np.float64)
    keys, counts = np.unique(a * other + b, return_counts=True)
    return keys, counts.astype(np.float64), np.bincount(a)[keys // other] * np.bincount(b)[keys % other] / len(a)


def _by_rank(evidence: CountedRows) -> Floats:
    """Return each row's expected acceptances by where the offer stood alone: first places are taken more often."""
    known = np.minimum(evidence.shown_rank, 64)
    rate = np.full(len(known), evidence.accepted.mean() if len(known) else 0.0)
    return np.asarray(rate * _rates(known, evidence.accepted, rate)[known])


def _rates(codes: Places, accepted: Floats, expected: Floats) -> Floats:
    """Return how much likelier rows of each code are accepted than expected."""
    taken, due = (np.bincount(codes, each).astype(np.float64) for each in (accepted, expected))
    return np.asarray(np.exp(_lifts(taken, due, _strength(taken, due))))


def _lifts(taken: Floats, expected: Floats, strength: float) -> Floats:
    """Return the logarithms of shrunken lifts (cells,)."""
    return np.asarray(np.log((taken + strength) / (expected + strength)))


def _strength(taken: Floats, expected: Floats) -> float:
    """Return the strength of the prior under which the counts are likeliest."""
    return float(max(_STRENGTHS, key=lambda strength: _likelihood(taken, expected, float(strength))))


def _likelihood(taken: Floats, expected: Floats, strength: float) -> float:
    """Return the log likelihood of the cells' counts, whose rates are drawn from the prior (negative binomial)."""
    counts = torch.from_numpy(taken)
    gammas = torch.lgamma(counts + strength) - torch.lgamma(torch.tensor(strength, dtype=torch.float64))
    rest = strength * np.log(strength) - (taken + strength) * np.log(expected + strength)
    # a cell without expectation and acceptances has no say
    return float(gammas.sum()) + float((rest + taken * np.log(np.maximum(expected, 1e-300))).sum())

"""What either kind of re-ranker reads of a pair: the towers' score and rank, crosses and matches, as columns."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from stream_scorer.core.features.spec import FeatureSpec, Floats, Inputs, Number, Vector
from stream_scorer.core.reranking.coding import Coding
from stream_scorer.core.reranking.crosses import NOBODY, Cross, Difference, Match
from stream_scorer.core.towers.reranker import SHORTLIST_MAX, Arrays, OfferSide, Places, Shortlisted
from stream_scorer.errors import BadModel

# Ranks are few: a table gives the same bytes whatever batch a pair is in, which a vectorised logarithm may not.
_LOG_RANKS = np.log1p(np.arange(SHORTLIST_MAX + 1, dtype=np.float64))

CROSSES_MAX = 64


@dataclass(frozen=True, slots=True)
class PairInputs:
    """The codes of both sides, and what is made of them together.

    Without `reads_rank` the towers' rank is 0 for all, as where training knew it only among the offers shown.
    """

    customers: Coding
    offers: Coding
    crosses: tuple[Cross, ...]
    matches: tuple[Match, ...]
    reads_rank: bool
    differences: tuple[Difference, ...] = ()

    def __post_init__(self) -> None:
        """Raise BadModel for parts that do not fit together."""
        if self.width - 2 > CROSSES_MAX:
            raise BadModel(f"at most {CROSSES_MAX} crosses, got {self.width - 2}")
        for difference in self.differences:
            difference.check(self.customers.spec.numbers, self.offers.spec.numbers)
        for cross in self.crosses:
            cross.check(self.customers.heights, self.offers.heights)
        for match in self.matches:
            match.check(tuple(slot.height for slot in self.customers.spec.slots), self.offers.heights)

    @property
    def width(self) -> int:
        """How many columns a pair has."""
        return 2 + len(self.crosses) + len(self.matches) + len(self.differences)

    @property
    def names(self) -> tuple[str, ...]:
        """What the columns are, in words."""
        mine, theirs = self.customers.names, self.offers.names
        crossed = [
            theirs[cross.offer] if cross.customer == NOBODY else f"{mine[cross.customer]} x {theirs[cross.offer]}"
            for cross in self.crosses
        ]
        slots = self.customers.spec.slots
        matched = [
            f"{theirs[match.offer]} {'times ' if match.counted else ''}in {slots[match.customer].name}"
            for match in self.matches
        ]
        columns = [_number_names(side.spec) for side in (self.customers, self.offers)]
        above = [f"{columns[0][each.customer]} - {columns[1][each.offer]}" for each in self.differences]
        return ("tower score", "log of tower rank", *crossed, *matched, *above)

    @property
    def counts(self) -> list[str]:
        """The columns that are counts: in the log, kept in the model, or in what a request states of the customer."""
        names = self.names[2 : 2 + len(self.crosses) + len(self.matches)]
        counted = [True] * len(self.crosses) + [match.counted for match in self.matches]
        return [name for name, is_count in zip(names, counted, strict=True) if is_count]

    def offer_arrays(self, encoded: Inputs) -> dict[str, Any]:
        """Return what an OfferSide keeps for the columns: codes (N, C), and the offers' parts of differences (N, D)."""
        parts = np.zeros((len(encoded.numbers), len(self.differences)))
        for place, each in enumerate(self.differences):
            parts[:, place] = each.theirs * encoded.numbers[:, each.offer] + each.shift
        return {"codes": self.offers.codes(encoded), "parts": parts}

    def columns(self, customers: Inputs, side: OfferSide, pairs: Shortlisted) -> Floats:
        """Return the columns (M, P) of pairs."""
        offers = side.arrays["codes"]
        out = np.empty((len(pairs), self.width))
        out[:, 0] = pairs.score
        out[:, 1] = _LOG_RANKS[np.clip(pairs.rank, 0, SHORTLIST_MAX)] if self.reads_rank else 0.0
        mine = self.customers.codes(customers)
        for place, cross in enumerate(self.crosses, start=2):
            own: Places | int = 0 if cross.customer == NOBODY else mine[:, cross.customer].take(pairs.request)
            out[:, place] = cross.columns(own, offers[:, cross.offer].take(pairs.offer))
        slots, firsts, heights = len(self.customers.spec.slots), self.customers.spec.first_rows, self.offers.heights
        for place, match in enumerate(self.matches, start=2 + len(self.crosses)):
            height = heights[match.offer]
            named = match.named(customers, slots, firsts[match.customer], height)
            theirs = offers[:, match.offer].take(pairs.offer)
            out[:, place] = match.columns(named, pairs.request, theirs, height)
        first = self.width - len(self.differences)
        for place, each in enumerate(self.differences):
            above = each.mine * customers.numbers[:, each.customer]
            out[:, first + place] = above.take(pairs.request) + side.arrays["parts"][:, place].take(pairs.offer)
        return out

    def structure(self) -> dict[str, Any]:
        """Return what is not an array, as JSON values."""
        return {
            "customers": {"spec": self.customers.spec.to_json(), "cuts": list(map(list, self.customers.cuts))},
            "offers": {"spec": self.offers.spec.to_json(), "cuts": list(map(list, self.offers.cuts))},
            "crosses": [[cross.customer, cross.offer] for cross in self.crosses],
            # a match that is not counted is written as before there were counts, so that older models keep their ids
            "matches": [[match.customer, match.offer, *[True] * match.counted] for match in self.matches],
            "differences": [[one.customer, one.offer, one.mine, one.theirs, one.shift] for one in self.differences],
            "reads_rank": self.reads_rank,
        }

    def tensors(self) -> dict[str, Any]:
        """Return the arrays by name."""
        arrays: dict[str, Any] = {}
        for number, cross in enumerate(self.crosses):
            arrays[f"crosses.{number}.keys"], arrays[f"crosses.{number}.values"] = cross.keys, cross.values
        return arrays | {f"matches.{number}.codes": match.codes for number, match in enumerate(self.matches)}

    @staticmethod
    def from_tensors(structure: dict[str, Any], tensors: Arrays) -> "PairInputs":
        """Rebuild from `structure()` and `tensors()`. Raises BadModel, KeyError or TypeError for unfit parts."""
        customers, offers = (
            Coding(FeatureSpec.from_json(each["spec"]), tuple(tuple(map(float, cuts)) for cuts in each["cuts"]))
            for each in (structure["customers"], structure["offers"])
        )
        crosses = tuple(
            Cross(mine, theirs, offers.heights[theirs], tensors[f"crosses.{number}.keys"], _values(tensors, number))
            for number, (mine, theirs) in enumerate(structure["crosses"])
        )
        matches = tuple(
            Match(mine, theirs, tensors[f"matches.{number}.codes"], counted=counted == [True])
            for number, (mine, theirs, *counted) in enumerate(structure["matches"])
        )
        differences = tuple(Difference(*each) for each in structure["differences"])
        return PairInputs(customers, offers, crosses, matches, bool(structure["reads_rank"]), differences)


def _number_names(spec: FeatureSpec) -> list[str]:
    numbers = [one for one in spec.inputs if isinstance(one, Number | Vector)]
    return [one.name for one in numbers for _ in range(one.width)]


def _values(tensors: Arrays, number: int) -> Floats:
    return np.asarray(tensors[f"crosses.{number}.values"], np.float64)

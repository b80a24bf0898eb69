"""What a pair of a customer and an offer says that neither says alone: crosses of their codes, and matches."""

from dataclasses import dataclass

import numpy as np

from stream_scorer.core.features.spec import Floats, Inputs
from stream_scorer.core.towers.reranker import Places
from stream_scorer.errors import BadModel

FACTOR_MAX = 1e6
NOBODY = -1  # the customer's part of a cross that is the offer's alone
_TIMES_MAX = 1_000
# A table gives the same bytes whatever batch a pair is in, which a vectorised logarithm may not.
_LOG_TIMES = np.log1p(np.arange(_TIMES_MAX + 1, dtype=np.float64))


@dataclass(frozen=True, slots=True)
class Cross:
    """A number for each pair of a customer's and an offer's code; 0 is said of pairs without one.

    With `keys`, `values` has a number for each key `customer's code * height + offer's code`; without, it has all pairs
    in this order. `customer` and `offer` are places among the codes of the sides; the customer's may be NOBODY.
    """

    customer: int
    offer: int
    height: int  # how many codes the offer's feature has
    keys: Places  # (K,), rising, or empty
    values: Floats  # (K,), or (customer's height * height,)

    def columns(self, customers: Places | int, offers: Places) -> Floats:
        """Return the numbers (M,) of pairs of codes; `customers` is 0 for NOBODY."""
        wanted = customers * self.height + offers
        if not len(self.keys):
            return np.asarray(self.values[wanted])
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.asarray(np.where(self.keys[places] == wanted, self.values[places], 0.0), np.float64)

    def check(self, customer_heights: tuple[int, ...], offer_heights: tuple[int, ...]) -> None:
        """Raise BadModel for parts that do not fit the codes of the sides."""
        if not NOBODY <= self.customer < len(customer_heights) or not 0 <= self.offer < len(offer_heights):
            raise BadModel(f"a cross names features ({self.customer}, {self.offer}) that have no codes")
        if self.height != offer_heights[self.offer]:
            raise BadModel(f"a cross is over {self.height} codes, its offers' feature has {offer_heights[self.offer]}")
        full = self.height * (1 if self.customer == NOBODY else customer_heights[self.customer])
        if self.values.shape != (len(self.keys) or full,) or not np.isfinite(self.values).all():
            raise BadModel(f"a cross needs {len(self.keys) or full} finite values, got {self.values.shape}")
        if len(self.keys) and not (np.diff(self.keys) > 0).all():
            raise BadModel("the keys of a cross must rise")


@dataclass(frozen=True, slots=True)
class Difference:
    """How far a customer's number is above an offer's: `mine` · the one + `theirs` · the other + `shift`.

    `customer` and `offer` are columns of the sides' encoded numbers; the factors undo that each has a scale of its own.
    """

    customer: int
    offer: int
    mine: float
    theirs: float
    shift: float

    def check(self, customer_numbers: int, offer_numbers: int) -> None:
        """Raise BadModel for columns that are not there, and for factors without bound."""
        if not 0 <= self.customer < customer_numbers or not 0 <= self.offer < offer_numbers:
            raise BadModel(f"a difference names numbers ({self.customer}, {self.offer}) that are not there")
        # each by itself, as max() passes over NaN; "<=" rather than ">", which NaN would pass, too
        if not all(abs(factor) <= FACTOR_MAX for factor in (self.mine, self.theirs, self.shift)):
            raise BadModel(f"the factors of a difference must be at most {FACTOR_MAX:g}")


@dataclass(frozen=True, slots=True)
class Match:
    """Whether an offer's category is what a feature of the customer names: the same category, or one in its bag.

    A match that is `counted` is log(1 + how often the bag names it), such as how often the customer took this offer.
    """

    customer: int  # a slot of the customers' spec
    offer: int  # a place among the offers' codes
    codes: Places  # (the slot's height,): the offer's code that each value means, -1 for none
    counted: bool = False

    def columns(self, named: Places, requests: Places, offers: Places, height: int) -> Floats:
        """Return the column (M,) of pairs; `named` are the keys that `named` returned."""
        wanted = requests * height + offers
        times = np.searchsorted(named, wanted, side="right") - np.searchsorted(named, wanted)
        return np.asarray(_LOG_TIMES[np.minimum(times, _TIMES_MAX)] if self.counted else times > 0, np.float64)

    def named(self, inputs: Inputs, slots: int, first: int, height: int) -> Places:
        """Return the sorted keys `request * height + offer's code` of all that B requests name, as often as they do."""
        batch = len(inputs.numbers)
        counts = np.diff(inputs.starts, append=len(inputs.rows)).reshape(batch, slots)[:, self.customer]
        starts = inputs.starts.reshape(batch, slots)[:, self.customer]
        owner = np.repeat(np.arange(batch), counts)
        places = np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(len(owner))
        codes = self.codes[inputs.rows[places] - first]
        return np.sort((owner * height + codes)[codes >= 0])

    def check(self, heights: tuple[int, ...], offer_heights: tuple[int, ...]) -> None:
        """Raise BadModel for parts that do not fit the sides; `heights` are those of the customers' slots."""
        if not 0 <= self.customer < len(heights) or not 0 <= self.offer < len(offer_heights):
            raise BadModel(f"a match names features ({self.customer}, {self.offer}) that are not there")
        if self.codes.shape != (heights[self.customer],):
            raise BadModel(f"a match needs {heights[self.customer]} codes, got {self.codes.shape}")
        if self.codes.min(initial=0) < -1 or self.codes.max(initial=0) >= offer_heights[self.offer]:
            raise BadModel("a match names codes that its offers' feature does not have")

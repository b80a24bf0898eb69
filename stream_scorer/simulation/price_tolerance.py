"""A world whose odds have a true cross term: customers take what is priced near what they usually pay.

How far a price is from a tolerance is a function of both sides together. It has the shape of a narrow ridge, which a
dot product of vectors could hold only if they had as many numbers as the ridge has places. Lists of offers are logged
either in a random order that everybody reads to the end, or in an order in which later places are seen less often.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_scorer.core.datasets.chunks import ExampleChunk, Views
from stream_scorer.core.messages import Features, Offer
from stream_scorer.simulation.world import customer_id, offer_id

LISTED = 10
_EVERY_MS = 1_000
_RIDGE = 0.12  # width, in logarithms of a price; prices span four


@dataclass(frozen=True, slots=True)
class ToleranceLog:
    """Requests (R,) of customers, each with a list of offers (R, 10), their log-odds, and what was accepted."""

    customer: NDArray[np.int64]
    offer: NDArray[np.int64]
    log_odds: NDArray[np.float64]
    accepted: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class ToleranceWorld:
    """Customers and offers with the features that a log states of them."""

    customers: tuple[Features, ...]
    offers: tuple[Features, ...]
    tolerance: NDArray[np.float64]  # (C,), the logarithm of what a customer usually pays
    price: NDArray[np.float64]  # (N,), a logarithm
    appeal: NDArray[np.float64]  # (N,)

    @staticmethod
    def of(seed: int = 0, customers: int = 300, offers: int = 200) -> "ToleranceWorld":
        """Draw a world; `usual_price` and `price` are stated, an offer's appeal shows in its category."""
        rng = np.random.default_rng(seed)
        tolerance, price = rng.uniform(0.0, 4.0, customers), rng.uniform(0.0, 4.0, offers)
        category = rng.integers(6, size=offers)
        appeal = rng.normal(0.0, 0.8, 6)[category]
        return ToleranceWorld(
            tuple({"usual_price": round(float(np.exp(each)), 2)} for each in tolerance),
            tuple(
                {"price": round(float(np.exp(each)), 2), "category": f"c{kind}"}
                for each, kind in zip(price, category.tolist(), strict=True)
            ),
            tolerance,
            price,
            appeal,
        )

    def log(self, requests: int, seed: int, *, biased: bool = False) -> ToleranceLog:
        """Draw requests and their answers.

        Lists hold offers at random, half of them near the customer's tolerance. With `biased`, a list has the most
        appealing offers first, and the offer at place r is seen with probability 1 / r^0.7.
        """
        rng = np.random.default_rng(seed)
        who = rng.integers(len(self.customers), size=requests)
        near = np.exp(-(((self.price[None] - self.tolerance[:, None]) / 0.5) ** 2)) + 0.05
        drawn = np.log(near[who]) + rng.gumbel(size=(requests, len(self.offers)))
        what = np.argsort(-drawn, axis=1)[:, :LISTED]
        if biased:
            noisy = self.appeal[what] + rng.normal(0.0, 0.5, what.shape)
            what = np.take_along_axis(what, np.argsort(-noisy, axis=1), axis=1)
        else:
            what = rng.permuted(what, axis=1)
        log_odds = self.log_odds(who[:, None], what)
        seen = rng.random(what.shape) < (np.arange(1, LISTED + 1) ** -0.7 if biased else 1.0)
        accepted = seen & (rng.random(what.shape) < 1 / (1 + np.exp(-log_odds)))
        return ToleranceLog(who, what, log_odds, accepted.astype(np.int8))

    def log_odds(self, customer: NDArray[np.int64], offer: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the true log-odds of pairs."""
        off = (self.price[offer] - self.tolerance[customer]) / _RIDGE
        return np.asarray(self.appeal[offer] + 4.0 * np.exp(-0.5 * off**2) - 2.5)

    def catalog(self) -> list[Offer]:
        """Return all offers."""
        return [Offer(offer_id=offer_id(row), features=features) for row, features in enumerate(self.offers)]

    def chunk(self, log: ToleranceLog, from_ms: int = 0) -> ExampleChunk:
        """Return a log as labelled examples."""
        requests, count = log.offer.shape[0], log.offer.size
        who, customer = np.unique(log.customer, return_inverse=True)
        times = from_ms + np.repeat(np.arange(requests, dtype=np.int64), LISTED) * _EVERY_MS
        return ExampleChunk(
            customers=Views([customer_id(row) for row in who.tolist()], [self.customers[row] for row in who.tolist()]),
            offers=Views([offer_id(row) for row in range(len(self.offers))], self.offers),
            customer=np.repeat(customer.reshape(-1), LISTED),
            offer=log.offer.reshape(-1),
            request=np.repeat(np.arange(1, requests + 1, dtype=np.uint64), LISTED),
            accepted=log.accepted.reshape(-1),
            rank=np.tile(np.arange(1, LISTED + 1), requests),
            tower_rank=np.zeros(count, np.int64),
            score=np.full(count, np.nan),
            propensity=np.full(count, np.nan),
            weight=np.ones(count),
            request_time_ms=times,
            label_time_ms=times,
            shown=np.ones(count, np.bool_),
        )

"""A simulated world of customers and offers whose acceptance odds are known, for the demo, tests and the benchmark.

Because the truth is known, a ranking can be compared with the best possible one and with popularity. A customer looks
at rank r with probability `r ** -0.7` and then accepts by the odds; the acceptance rate is the share of rankings with
an acceptance. Randomness comes in as a seed (the world) or a generator (what happens in it).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from stream_scorer.core.buffer.examples import example_id
from stream_scorer.core.messages import Acceptance, Cause, CustomerRequest, Features, LabelledExample, Offer, Ranking
from stream_scorer.simulation import world_making

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

EXAMINATION_POWER = 0.7
DECLINE_SHARE = 0.3
POPULARITY_RATE = 0.2
PLACES = 5
SAMPLE_MAX = 1_000
WINDOW_MS = 60_000
RIDGE_WIDTH = 0.15  # in logarithms of a price, whose standard deviation is 0.6


@dataclass(frozen=True, slots=True)
class World:
    """Customers and offers; the log-odds of an acceptance are `tastes[customer] @ appeals[offer] + constant`.

    Where there is a `ridge`, they are that much higher for prices equal to the customer's budget, and hardly higher for
    any other: a function of both sides together, which no dot product of a few numbers is.
    """

    customer_features: list[Features]
    offer_features: list[Features]
    tastes: Array
    appeals: Array
    constant: float
    by_popularity: Rows
    budgets: Array  # logarithms, of customers
    prices: Array  # logarithms, of offers
    ridge: float = 0.0

    @classmethod
    def of(
        cls,
        seed: int,
        *,
        customers: int = 2_000,
        offers: int = 200,
        popularity_rate: float = POPULARITY_RATE,
        ridge: float = 0.0,
    ) -> "World":
        """Make the world of a seed; the popularity ranking of five offers is accepted at `popularity_rate`."""
        rng = np.random.default_rng(seed)
        customer_side, offer_side = world_making.customers(rng, customers), world_making.offers(rng, offers)
        tastes, appeals = world_making.coordinates(customer_side, offer_side)
        offer_ids = [offer_id(row) for row in range(offers)]
        log_odds = tastes @ appeals.T + ridge * _near(customer_side.money[:, None], offer_side.money)
        features = world_making.with_lately(rng, customer_side.features, log_odds, offer_ids)
        constant, popular = _constant(log_odds[:SAMPLE_MAX], popularity_rate)
        return cls(
            cast(list[Features], features),
            cast(list[Features], offer_side.features),
            tastes,
            appeals,
            constant,
            popular,
            customer_side.money,
            offer_side.money,
            ridge,
        )

    def offers(self) -> list[Offer]:
        """Return the catalog."""
        return [Offer(offer_id=offer_id(row), features=features) for row, features in enumerate(self.offer_features)]

    def odds(self, customers: Rows, offers: Rows) -> Array:
        """Return the odds of acceptance once looked at: (B, N) for offers (N,), (B, k) for customers' own (B, k)."""
        if offers.ndim == 1:
            log_odds = self.tastes[customers] @ self.appeals[offers].T
        else:
            log_odds = np.einsum("bq,bkq->bk", self.tastes[customers], self.appeals[offers])
        if self.ridge:
            log_odds = log_odds + self.ridge * _near(self.budgets[customers, None], self.prices[offers])
        return _sigmoid(log_odds + self.constant)

    def rates(self, customers: Rows, ranked: Rows) -> Array:
        """Return the expected acceptance rate (B,) of rankings: `ranked` (B, k) are offers' rows, best first."""
        return _rates(self.odds(customers, ranked))

    def best_possible(self, places: int = PLACES) -> float:
        """Return the highest possible acceptance rate: everyone sees the offers of their highest odds first."""
        customers = np.arange(min(len(self.tastes), SAMPLE_MAX))
        odds = self.odds(customers, np.arange(len(self.appeals)))
        return float(_rates(-np.sort(-odds, axis=1)[:, :places]).mean())

    def popularity(self, places: int = PLACES) -> float:
        """Return the acceptance rate when everyone sees the offers of the highest mean odds."""
        customers = np.arange(min(len(self.tastes), SAMPLE_MAX))
        return float(_rates(self.odds(customers, self.by_popularity[:places])).mean())

    def chance(self, places: int = PLACES) -> float:
        """Return the acceptance rate of random rankings, taking each offer's odds as its customer's mean."""
        customers = np.arange(min(len(self.tastes), SAMPLE_MAX))
        mean = self.odds(customers, np.arange(len(self.appeals))).mean(axis=1)
        return float(_rates(np.repeat(mean[:, None], places, axis=1)).mean())

    def requests(
        self, rng: np.random.Generator, count: int, *, start_ms: int, rate_per_s: float, limit: int = PLACES
    ) -> list[CustomerRequest]:
        """Draw requests of random customers, exponentially spaced; calls with the same generator repeat no id."""
        times = start_ms + np.cumsum(rng.exponential(1_000 / rate_per_s, count)).astype(int)
        customers, series = rng.integers(len(self.tastes), size=count), int(rng.integers(2**63))
        return [
            CustomerRequest(
                request_id=f"r-{series:016x}-{number}",
                customer_id=customer_id(int(row)),
                event_time_ms=int(time_ms),
                features=self.customer_features[row],
                limit=limit,
            )
            for number, (row, time_ms) in enumerate(zip(customers, times, strict=True))
        ]

    def answers(
        self, rng: np.random.Generator, rankings: Sequence[Ranking], *, delay_ms: tuple[int, int] = (200, 2_000)
    ) -> list[Acceptance]:
        """Draw customers' answers to the offers shown to them, in order of time: acceptances, and some declines.

        Only offers that a customer looked at are declined. An answer comes `delay_ms` (from, to) after the request.
        """
        answers: list[Acceptance] = []
        for ranking in rankings:
            columns = np.array([[offer_row(offer.offer_id) for offer in ranking.offers]], np.int64).reshape(1, -1)
            accepted, declined = _answered(rng, self.odds(np.array([customer_row(ranking.customer_id)]), columns))
            for place in np.flatnonzero(accepted[0] | declined[0]):
                offer = ranking.offers[place].offer_id
                answers.append(
                    Acceptance(
                        acceptance_id=f"a-{ranking.request_id}-{offer}",
                        request_id=ranking.request_id,
                        customer_id=ranking.customer_id,
                        offer_id=offer,
                        accepted=bool(accepted[0, place]),
                        event_time_ms=ranking.event_time_ms + int(rng.integers(*delay_ms)),
                        request_time_ms=ranking.event_time_ms,
                    )
                )
        return sorted(answers, key=lambda answer: answer.event_time_ms)

    def log(
        self,
        rng: np.random.Generator,
        count: int,
        *,
        start_ms: int,
        rate_per_s: float = 1.0,
        random_share: float = 0.5,
        places: int = PLACES,
    ) -> list[LabelledExample]:
        """Draw the labelled history of `count` requests, `places` rows each, from before there was a model.

        A `random_share` of the rankings is a random draw of offers; the others show the most popular. Propensities are
        exact: of each offer at its place, given those above it.
        """
        requests = self.requests(rng, count, start_ms=start_ms, rate_per_s=rate_per_s, limit=places)
        customers = np.array([customer_row(request.customer_id) for request in requests], np.int64)
        shown = np.argsort(rng.random((count, len(self.appeals))), axis=1)[:, :places]
        popular = self.by_popularity[:places]
        shown[rng.random(count) >= random_share] = popular
        propensity = _propensities(shown, popular, random_share, len(self.appeals))
        accepted, declined = _answered(rng, self.odds(customers, shown))
        return [
            self._example(
                request,
                int(shown[row, place]),
                place,
                float(propensity[row, place]),
                _cause(accepted[row, place], declined[row, place]),
            )
            for row, request in enumerate(requests)
            for place in range(places)
        ]

    def _example(
        self, request: CustomerRequest, column: int, place: int, propensity: float, cause: Cause
    ) -> LabelledExample:
        return LabelledExample(
            example_id=example_id(request.request_id, request.customer_id, offer_id(column)),
            revision=1,
            request_id=request.request_id,
            customer_id=request.customer_id,
            offer_id=offer_id(column),
            accepted=1 if cause == "accepted" else 0,
            cause=cause,
            customer_features=request.features,
            offer_features=self.offer_features[column],
            rank=place + 1,
            score=None,
            propensity=propensity,
            release_id=None,
            request_time_ms=request.event_time_ms,
            label_time_ms=request.event_time_ms + WINDOW_MS,
            exposure="assumed" if cause == "window_closed" else "shown",
        )


def customer_id(row: int) -> str:
    """Return the id of the customer of a row."""
    return f"customer-{row:06d}"


def offer_id(row: int) -> str:
    """Return the id of the offer of a row."""
    return f"offer-{row:06d}"


def customer_row(name: str) -> int:
    """Return the row of a customer's id."""
    return int(name.removeprefix("customer-"))


def offer_row(name: str) -> int:
    """Return the row of an offer's id."""
    return int(name.removeprefix("offer-"))


def examination(places: int) -> Array:
    """Return the probability (places,) that a customer looks at each rank."""
    probability: Array = np.arange(1, places + 1, dtype=np.float64) ** -EXAMINATION_POWER
    return probability


def _rates(odds: Array) -> Array:
    rejected_all: Array = np.prod(1 - examination(odds.shape[1]) * odds, axis=1)
    return 1 - rejected_all


def _answered(rng: np.random.Generator, odds: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    looked = rng.random(odds.shape) < examination(odds.shape[1])
    accepted = looked & (rng.random(odds.shape) < odds)
    return accepted, looked & ~accepted & (rng.random(odds.shape) < DECLINE_SHARE)


def _propensities(shown: Rows, popular: Rows, random_share: float, offers: int) -> Array:
    """Return the probability (B, k) of each offer at its place, given the offers above it.

    It is the probability of the first k places together, divided by that of the first k - 1.
    """
    at_random = np.cumprod(1 / (offers - np.arange(len(popular))))
    together = (1 - random_share) * np.cumprod(shown == popular, axis=1) + random_share * at_random
    chances: Array = together / np.column_stack([np.ones(len(shown)), together[:, :-1]])
    return chances


def _cause(accepted: np.bool_, declined: np.bool_) -> Cause:
    if accepted:
        return "accepted"
    return "declined" if declined else "window_closed"


def _constant(log_odds: Array, rate: float) -> tuple[float, Rows]:
    """Find by bisection the constant that gives the popularity ranking its acceptance rate; return both."""
    low, high = -20.0, 20.0
    for _ in range(30):  # halves the interval to less than 1e-7
        middle = (low + high) / 2
        odds = _sigmoid(log_odds + middle)
        popular = np.argsort(-odds.mean(axis=0), kind="stable")
        low, high = (middle, high) if _rates(odds[:, popular[:PLACES]]).mean() < rate else (low, middle)
    return middle, popular


def _near(budgets: Array, prices: Array) -> Array:
    """Return 1 where a price equals the budget, falling to nothing on both sides."""
    nearness: Array = np.exp(-0.5 * ((prices - budgets) / RIDGE_WIDTH) ** 2)
    return nearness


def _sigmoid(log_odds: Array) -> Array:
    odds: Array = 1 / (1 + np.exp(-log_odds))
    return odds

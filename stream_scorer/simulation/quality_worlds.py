"""Six small worlds of different shapes whose odds are known, by which defaults of a training are measured.

What suits one shape harms another: ids as wide as habits need them drown what features say of new offers. So a change
of defaults is measured on all of them (`bench --what quality`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stream_scorer.core.datasets.chunks import ExampleChunk, Views
from stream_scorer.core.messages import Features, Offer
from stream_scorer.simulation.price_tolerance import LISTED, ToleranceLog, ToleranceWorld
from stream_scorer.simulation.world import customer_id, offer_id

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

_EVERY_MS = 1_000
_CONTEXT_SIZES = (5, 7, 3, 2)
_HABITS, _HABITUAL = 12, 0.85


@dataclass(frozen=True, slots=True)
class SimulatedRows:
    """Rows (n,): who, under which values of the context (n, F), which offer, and whether it was accepted."""

    customer: Rows
    context: Rows
    offer: Rows
    accepted: Rows


@dataclass(frozen=True, slots=True)
class QualityWorld:
    """A log in order of time, later rows to judge by, and the odds behind both.

    A request lists `listed` offers, whose rows stand side by side; where these are several, the order within requests
    is judged. `biased` is another log of the same kind, of lists whose later places were seen less often.

    Where all rows are accepted, `truth` are the log-odds of every offer for each judged row (T, N), and rankings of the
    catalog are judged, without what the customer had accepted in the log unless customers accept again; else `truth`
    are those of the judged rows alone (T,), and the order within customers is judged. `new` are the offers that no
    customer could accept in the log.
    """

    name: str
    customers: tuple[Features, ...]
    offers: tuple[Features, ...]
    log: SimulatedRows
    judged: SimulatedRows
    truth: Array
    repeats: bool = False
    new: Mask = field(default_factory=lambda: np.zeros(0, bool))
    listed: int = 1
    biased: SimulatedRows | None = None

    @property
    def ranks(self) -> bool:
        """Whether rankings of the whole catalog are judged."""
        return self.truth.ndim == 2

    def catalog(self) -> list[Offer]:
        """Return all offers, the new ones among them."""
        return [Offer(offer_id=offer_id(row), features=features) for row, features in enumerate(self.offers)]

    def views(self, rows: SimulatedRows) -> Views:
        """Return the customer of each row with the features of its request."""
        return Views(
            [customer_id(row) for row in rows.customer.tolist()],
            [
                {**self.customers[row], **{f"context_{number}": f"v{value}" for number, value in enumerate(values)}}
                for row, values in zip(rows.customer.tolist(), rows.context.tolist(), strict=True)
            ],
        )

    def chunk(self, log: SimulatedRows | None = None) -> ExampleChunk:
        """Return a log, the world's own by default, as labelled examples."""
        rows = self.log if log is None else log
        count, shown = len(rows.customer), np.unique(rows.offer)
        unknown = np.full(count, np.nan)
        request, place = np.divmod(np.arange(count), self.listed)
        return ExampleChunk(
            customers=self.views(rows),
            offers=Views([offer_id(row) for row in shown.tolist()], [self.offers[row] for row in shown.tolist()]),
            customer=np.arange(count),
            offer=np.searchsorted(shown, rows.offer),
            request=(request + 1).astype(np.uint64),
            accepted=rows.accepted.astype(np.int8),
            rank=place + 1 if self.listed > 1 else np.zeros(count, np.int64),
            score=unknown,
            propensity=unknown,
            weight=np.ones(count),
            request_time_ms=request * _EVERY_MS,
            label_time_ms=request * _EVERY_MS,
            shown=np.ones(count, np.bool_),
            tower_rank=np.zeros(count, np.int64),
        )


def contexts_and_repeats(seed: int = 0, scale: float = 1.0) -> QualityWorld:
    """Customers take mostly one of a dozen offers of their own, and which one depends on four fields of the request."""
    rng, count, offers, each = np.random.default_rng(seed), round(300 * scale), round(800 * scale), 60
    tastes, appeals = rng.normal(size=(count, 6)), rng.normal(size=(offers, 6))
    general = 0.6 * tastes @ appeals.T + rng.normal(0, 1.2, offers)
    by_context = [rng.normal(0, 0.8, (size, offers)) for size in _CONTEXT_SIZES]
    own = np.argsort(-(general + rng.gumbel(size=general.shape)), axis=1)[:, :_HABITS]
    customer = np.concatenate([rng.permutation(count) for _ in range(each)])
    context = np.stack([rng.integers(size, size=len(customer)) for size in _CONTEXT_SIZES], axis=1)
    pull = sum((table[context[:, number]] for number, table in enumerate(by_context)), np.zeros(()))  # (n, N)
    habits = np.take_along_axis(0.5 * pull, own[customer], axis=1) + 0.25 * np.arange(_HABITS)[::-1]
    anything = general[customer] + 0.5 * pull
    habitual = own[customer, np.argmax(habits + rng.gumbel(size=habits.shape), axis=1)]
    other = np.argmax(anything + rng.gumbel(size=anything.shape), axis=1)
    offer = np.where(rng.random(len(customer)) < _HABITUAL, habitual, other)
    odds = (1 - _HABITUAL) * _shares(anything)
    row = np.arange(len(customer))[:, None]
    odds[row, own[customer]] += _HABITUAL * _shares(habits)
    rows = SimulatedRows(customer, context, offer, np.ones_like(offer))
    log, judged = _cut(rows, round(0.8 * len(customer)))
    kinds: tuple[Features, ...] = tuple({"kind": f"k{row % 9}"} for row in range(offers))
    truth = np.log(odds[len(log.customer) :])
    return QualityWorld("contexts and repeats", ({},) * count, kinds, log, judged, truth, repeats=True)


def large_sparse_ids(seed: int = 0, scale: float = 1.0) -> QualityWorld:
    """Many customers and offers known by ids alone, with few acceptances in common: groups of taste and a long tail."""
    rng, count, offers, groups = np.random.default_rng(seed), round(3_000 * scale), round(2_000 * scale), 40
    loves = rng.dirichlet(np.full(groups, 0.08), count)
    belongs = rng.dirichlet(np.full(groups, 0.05), offers)
    log_odds = np.log(loves @ belongs.T + 2e-3) + rng.normal(0, 1.0, offers)
    log, judged = _logged(rng, _drawn_once(rng, log_odds, 25), 20)
    return QualityWorld("large sparse ids", ({},) * count, ({},) * offers, log, judged, log_odds[judged.customer])


def tiny_tabular(seed: int = 0, scale: float = 1.0) -> QualityWorld:
    """A few thousand answers with features of both sides: curves and steps of numbers, categories, offers' appeal."""
    rng, count, offers = np.random.default_rng(seed), round(400 * scale), round(120 * scale)
    age, income = rng.uniform(18, 80, count), rng.lognormal(3.4, 0.5, count)
    region = rng.integers(5, size=count)
    price, discount, category = (
        rng.lognormal(2.5, 0.8, offers),
        rng.integers(0, 60, offers),
        rng.integers(8, size=offers),
    )
    by_category, by_region = rng.normal(0, 0.6, 8), rng.normal(0, 0.5, (5, 8))
    appeal = by_category[category] - 0.5 * (np.log(price) - 2.5) + 0.8 * (discount >= 30) + rng.normal(0, 0.5, offers)
    person = -(((age - 45) / 18) ** 2) * 0.4

    def rows_of(number: int) -> tuple[SimulatedRows, Array]:
        who, what = rng.integers(count, size=number), rng.integers(offers, size=number)
        cheap = 0.4 * (np.log(income[who]) - 3.4) * (np.log(price[what]) - 2.5)
        log_odds = person[who] + appeal[what] + by_region[region[who], category[what]] + cheap - 0.6
        accepted = (rng.random(number) < 1 / (1 + np.exp(-log_odds))).astype(np.int64)
        return SimulatedRows(who, np.zeros((number, 0), np.int64), what, accepted), log_odds

    (log, _), (judged, truth) = rows_of(round(3_000 * scale)), rows_of(round(8_000 * scale))
    people: tuple[Features, ...] = tuple(
        {"age": round(float(age[row])), "income": round(float(income[row]), 1), "region": f"r{region[row]}"}
        for row in range(count)
    )
    goods: tuple[Features, ...] = tuple(
        {"price": round(float(price[row]), 2), "discount": int(discount[row]), "category": f"c{category[row]}"}
        for row in range(offers)
    )
    return QualityWorld("tiny tabular", people, goods, log, judged, truth)


def many_new_offers(seed: int = 0, scale: float = 1.0) -> QualityWorld:
    """Offers with genres and a year; a fifth of them came after the log, and are accepted as others are."""
    rng, count, offers, genres = np.random.default_rng(seed), round(600 * scale), round(400 * scale), 12
    kinds = [sorted(set(rng.choice(genres, rng.integers(1, 4)).tolist())) for _ in range(offers)]
    shares = np.zeros((offers, genres))
    for row, each in enumerate(kinds):
        shares[row, each] = len(each) ** -0.5
    year = rng.integers(1960, 2025, offers)
    log_odds = rng.normal(0, 1.3, (count, genres)) @ shares.T + rng.normal(0, 0.8, offers)
    log_odds += np.outer(rng.normal(0, 0.6, count), (year - 1990) / 18)
    new = np.zeros(offers, bool)
    new[rng.choice(offers, offers // 5, replace=False)] = True
    before = _drawn_once(rng, np.where(new, -np.inf, log_odds), 30)
    open_still = log_odds.copy()
    open_still[np.arange(count)[:, None], before] = -np.inf
    drawn = np.concatenate([before, _drawn_once(rng, open_still, 10)], axis=1)
    features: tuple[Features, ...] = tuple(
        {"genres": [f"g{one}" for one in each], "year": int(when)} for each, when in zip(kinds, year, strict=True)
    )
    log, judged = _logged(rng, drawn, 30)
    return QualityWorld("many new offers", ({},) * count, features, log, judged, log_odds[judged.customer], new=new)


def positives_only(seed: int = 0, scale: float = 1.0) -> QualityWorld:
    """Dense acceptances of customers and offers with features, which say part of what there is to know."""
    rng, count, offers = np.random.default_rng(seed), round(600 * scale), round(400 * scale)
    segment, brand = rng.integers(6, size=count), rng.integers(15, size=offers)
    tastes = rng.normal(0, 0.8, (6, 5))[segment] + rng.normal(0, 0.7, (count, 5))
    appeals = rng.normal(0, 0.8, (15, 5))[brand] + rng.normal(0, 0.7, (offers, 5))
    log_odds = tastes @ appeals.T + rng.normal(0, 0.8, offers)
    people: tuple[Features, ...] = tuple({"segment": f"s{one}"} for one in segment.tolist())
    goods: tuple[Features, ...] = tuple({"brand": f"b{one}"} for one in brand.tolist())
    log, judged = _logged(rng, _drawn_once(rng, log_odds, 40), 30)
    return QualityWorld("positives only", people, goods, log, judged, log_odds[judged.customer])


def price_tolerance(seed: int = 0, scale: float = 1.0) -> QualityWorld:
    """Customers take what is priced near what they usually pay, which no dot product of a few numbers holds."""
    world, requests = ToleranceWorld.of(seed), round(3_000 * scale)
    log, biased = (world.log(requests, 2 * seed + 1, biased=is_biased) for is_biased in (False, True))
    judged = world.log(round(2_000 * scale), 2 * seed + 2)
    truth = judged.log_odds.reshape(-1)
    of_logs = [_listed_rows(one) for one in (log, judged, biased)]
    name, features = "price tolerance", (world.customers, world.offers)
    return QualityWorld(name, *features, of_logs[0], of_logs[1], truth, listed=LISTED, biased=of_logs[2])


def _listed_rows(log: ToleranceLog) -> SimulatedRows:
    who = np.repeat(log.customer, LISTED)
    nothing = np.zeros((len(who), 0), np.int64)
    return SimulatedRows(who, nothing, log.offer.reshape(-1), log.accepted.reshape(-1).astype(np.int64))


WORLDS: tuple[Callable[[int, float], QualityWorld], ...] = (
    contexts_and_repeats,
    large_sparse_ids,
    tiny_tabular,
    many_new_offers,
    positives_only,
    price_tolerance,
)


def _logged(rng: np.random.Generator, drawn: Rows, known: int) -> tuple[SimulatedRows, SimulatedRows]:
    """Put the first `known` acceptances of each customer (C, k) into the log, in any order; the others are judged."""
    count, each = drawn.shape
    rows = SimulatedRows(
        np.repeat(np.arange(count), each),
        np.zeros((drawn.size, 0), np.int64),
        drawn.reshape(-1),
        np.ones(drawn.size, np.int64),
    )
    earlier = np.tile(np.arange(each) < known, count)
    return _taken(rows, rng.permutation(np.flatnonzero(earlier))), _taken(rows, np.flatnonzero(~earlier))


def _drawn_once(rng: np.random.Generator, log_odds: Array, count: int) -> Rows:
    """Draw offers for each customer (C, count) without repetition: those with the largest odds plus Gumbel noise."""
    return np.argsort(-(log_odds + rng.gumbel(size=log_odds.shape)), axis=1)[:, :count]


def _shares(log_odds: Array) -> Array:
    odds = np.exp(log_odds - log_odds.max(axis=1, keepdims=True))
    shares: Array = odds / odds.sum(axis=1, keepdims=True)
    return shares


def _cut(rows: SimulatedRows, end: int) -> tuple[SimulatedRows, SimulatedRows]:
    return _taken(rows, np.arange(end)), _taken(rows, np.arange(end, len(rows.customer)))


def _taken(rows: SimulatedRows, chosen: Rows) -> SimulatedRows:
    return SimulatedRows(rows.customer[chosen], rows.context[chosen], rows.offer[chosen], rows.accepted[chosen])

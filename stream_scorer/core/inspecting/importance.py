"""Which features matter: the fall of the figure when a feature's values are exchanged at random (Breiman 2001).

Features that say the same can stand in for each other, so that each alone may seem to matter little.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from stream_scorer.core.datasets.training_set import EncodedSide, Places
from stream_scorer.core.evaluation.auc import auc_by_customer
from stream_scorer.core.evaluation.figures import FeatureImportance, Importances
from stream_scorer.core.evaluation.intervals import normal_interval
from stream_scorer.core.evaluation.judging import ScoredRows
from stream_scorer.core.features.spec import Floats
from stream_scorer.core.held_out.questions import Questions, quality, rank
from stream_scorer.core.inspecting.feature_places import exchanged, places_of
from stream_scorer.core.inspecting.sampling import drawn_customers
from stream_scorer.core.towers.tower import Tower

ROWS_MAX = 20_000
_ROWS_MIN, _QUESTIONS_MAX, _QUESTIONS_MIN = 1_000, 1_000, 50
_EMBEDDED_MAX = 2_000_000  # rows through the towers, over all features
_SCORES_MAX = 200_000_000  # questions times offers, over all features


@dataclass(frozen=True, slots=True)
class _Side:
    """The examples of a side among which values are exchanged, and their vectors (n, p)."""

    tower: Tower
    encoded: EncodedSide
    examples: Places
    vectors: Floats

    @staticmethod
    def of(tower: Tower, encoded: EncodedSide, examples: Places) -> "_Side":
        return _Side(tower, encoded, examples, tower.forward(encoded.inputs(examples)))

    def permuted(self, rng: np.random.Generator) -> Iterator[tuple[str, Floats]]:
        """Yield for each feature the vectors (n, p) after its values changed places among the examples."""
        for name, places in places_of(self.tower.spec).items():
            others = self.examples[rng.permutation(len(self.examples))]
            yield name, self.tower.forward(exchanged(self.encoded, self.examples, others, places))


@dataclass(frozen=True, slots=True)
class _Sample:
    """What is judged again for each feature; `figures` gives those per customer (C,) from the vectors of both sides."""

    figure: str
    rows: int
    customers: _Side
    offers: _Side
    figures: Callable[[Floats, Floats], Floats]


def importances(judged: ScoredRows, questions: Questions, k: int, rng: np.random.Generator) -> Importances | None:
    """Return the features of both sides, those that matter most first; None for fewer than two customers to judge by.

    The work is bounded: the more features there are, the fewer rows or questions are judged, and where the catalog is
    too large to embed it once a feature, the offers' features are left out.
    """
    towers = judged.model.user_tower, judged.model.item_tower
    features = max(1, sum(len(places_of(tower.spec)) for tower in towers))
    sample = _of_rows(judged, features, rng)
    base = sample.figures(sample.customers.vectors, sample.offers.vectors)
    if not len(base):
        sample = _of_questions(judged, questions, k, features)
        base = sample.figures(sample.customers.vectors, sample.offers.vectors)
    if len(base) < 2:  # a fall would have no interval
        return None
    found, left_out = _falls(sample, base, rng), 0
    if len(sample.offers.examples) * features > _EMBEDDED_MAX:
        left_out = len(places_of(sample.offers.tower.spec))
    else:
        found += _falls(sample, base, rng, of_offers=True)
    ordered = sorted(found, key=lambda one: -one.drop.value)
    return Importances(sample.figure, sample.rows, len(base), float(base.mean()), tuple(ordered), left_out)


def _falls(
    sample: _Sample, base: Floats, rng: np.random.Generator, *, of_offers: bool = False
) -> list[FeatureImportance]:
    found = []
    side = sample.offers if of_offers else sample.customers
    for name, changed in side.permuted(rng):
        pair = (sample.customers.vectors, changed) if of_offers else (changed, sample.offers.vectors)
        drop = normal_interval(base - sample.figures(*pair))
        assert drop is not None, "the customers of `base`, of whom there are two or more, have figures again"
        found.append(FeatureImportance(side.tower.spec.side, name, drop))
    return found


def _of_rows(judged: ScoredRows, features: int, rng: np.random.Generator) -> _Sample:
    """Judge rows of whole customers by the AUC within customers; there are no figures where nothing was refused.

    Values are exchanged among requests, not among rows: rows of one request must go on sharing their features, as the
    AUC compares them with each other.
    """
    data, rows = judged.data, _sampled(judged, int(np.clip(_EMBEDDED_MAX // features, _ROWS_MIN, ROWS_MAX)), rng)
    requests = np.stack([data.request[rows], data.customer[rows]], axis=1).astype(np.int64)
    distinct, request_of = np.unique(requests, axis=0, return_inverse=True)
    offers, offer_of = np.unique(data.offer[rows], return_inverse=True)
    request_of, offer_of = request_of.reshape(-1), offer_of.reshape(-1)
    who, accepted = data.who[rows], data.accepted[rows]

    def figures(users: Floats, items: Floats) -> Floats:
        return auc_by_customer(who, np.einsum("np,np->n", users[request_of], items[offer_of]), accepted)

    users, items = judged.model.user_tower, judged.model.item_tower
    customers = _Side.of(users, data.customers, distinct[:, 1])
    return _Sample(
        "AUC within customer", len(rows), customers, _Side.of(items, data.offers, offers.astype(np.int64)), figures
    )


def _sampled(judged: ScoredRows, most: int, rng: np.random.Generator) -> Places:
    chosen = drawn_customers(judged.who, most, rng, customers=len(judged.data.customer_ids))
    return judged.rows[chosen[judged.who]][:most]  # a single customer may have more


def _of_questions(judged: ScoredRows, questions: Questions, k: int, features: int) -> _Sample:
    """Judge rankings of the whole catalog by nDCG."""
    scores = features * max(1, len(judged.offers))
    asked = questions.sample(int(np.clip(_SCORES_MAX // scores, _QUESTIONS_MIN, _QUESTIONS_MAX)), 0)

    def figures(users: Floats, items: Floats) -> Floats:
        return quality(asked, rank(asked, lambda block: users[block] @ items.T, k)).ndcg

    customers = _Side.of(judged.model.user_tower, judged.data.customers, asked.view)
    catalog = np.arange(len(judged.data.catalog))
    offers = _Side(judged.model.item_tower, judged.data.catalog, catalog, judged.vectors)
    return _Sample(f"nDCG@{k}", len(asked), customers, offers, figures)

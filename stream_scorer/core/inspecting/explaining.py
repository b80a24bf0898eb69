"""Why a ranking is as it is: each feature left out in turn, and what becomes of the offers' scores and places.

Leaving out one feature at a time is plain to read, and it has a limit to know: features that say the same stand in for
each other, so that each alone may seem to matter little. What features add does not sum up to the score.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stream_scorer.core.features.spec import Floats, Side
from stream_scorer.core.messages import OfferId, RankedOffer, Ranking
from stream_scorer.core.releases.catalog import Catalog
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.tower import Tower

OFFERS_MAX = 20
SCORE_TOLERANCE = 1e-5  # programs compute in float32


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What becomes of an offer without a feature.

    `adds` is by how much the score is higher with the feature than without it; `place` is where the offer would stand
    by its score among the explained offers, from 1.
    """

    side: Side
    feature: str
    adds: float
    place: int


@dataclass(frozen=True, slots=True)
class ExplainedOffer:
    """A ranked offer, its place by score among the explained ones, and its features, those that add most first.

    `fault` says why the offer's score could not be explained; it then has no parts.
    """

    offer: RankedOffer
    place: int
    parts: tuple[LeftOut, ...]
    fault: str = ""


def explain(ranking: Ranking, model: Model, catalog: Catalog | None = None) -> list[ExplainedOffer]:
    """Explain the first `OFFERS_MAX` offers of a ranking by the towers that scored it, best first.

    Where rankings carry only some of the offers' features, `catalog` gives the vectors, and only the customer's
    features are explained. An offer whose score does not come out again is not explained.
    """
    offers = ranking.offers[:OFFERS_MAX]  # K
    if not offers:
        return []
    users, user_names = _without_each(model.user_tower, ranking.features, ranking.customer_id)  # (1 + F, p)
    items = [_without_each(model.item_tower, one.features, one.offer_id) for one in offers]
    vectors = np.stack([whole[0] for whole, _ in items])  # (K, p)
    stated = np.array([one.score for one in offers])
    from_features = _agree(vectors @ users[0], stated)
    vectors = np.where(from_features[:, None], vectors, _published(offers, catalog, vectors))
    scores = vectors @ users.T  # (K, 1 + F)
    explained = _agree(scores[:, 0], stated)
    places = _places(scores)
    found = []
    for row, (offer, (changed, names)) in enumerate(zip(offers, items, strict=True)):
        if not explained[row]:
            found.append(ExplainedOffer(offer, int(places[row, 0]), (), _UNEXPLAINED))
            continue
        parts = _of_customer(user_names, scores[row], places[row])
        if from_features[row]:
            parts += _of_offer(names, changed[1:] @ users[0], scores[:, 0], row)
        found.append(ExplainedOffer(offer, int(places[row, 0]), tuple(sorted(parts, key=_by_weight))))
    return found


_UNEXPLAINED = "the towers do not give the score that the ranking states: it lacks features of the offer"


def _without_each(tower: Tower, features: Mapping[str, Any], own_id: str) -> tuple[Floats, tuple[str, ...]]:
    """Return the vectors (1 + F, p) of all features and of all but one, and the names of the F that were left out."""
    names = tuple(each for each in dict.fromkeys(tower.spec.feature_names) if features.get(each) is not None)
    rows = [dict(features), *({**features, name: None} for name in names)]
    # published vectors are float32: rounded likewise, scores come out as the ranker made them
    vectors = tower.embed(rows, [own_id] * len(rows)).vectors
    return (vectors.astype(np.float32).astype(np.float64) if tower.spec.side == "offer" else vectors), names


def _published(offers: Sequence[RankedOffer], catalog: Catalog | None, otherwise: Floats) -> Floats:
    """Return the catalog's vectors (K, p), and those of `otherwise` for offers that it lacks."""
    rows = [None if catalog is None else catalog.index.get(OfferId(one.offer_id)) for one in offers]
    if catalog is None:
        return otherwise
    return np.stack(
        [
            otherwise[number] if row is None else catalog.vectors[row].astype(np.float64)
            for number, row in enumerate(rows)
        ]
    )


def _agree(scores: Floats, stated: Floats) -> Any:
    return np.abs(scores - stated) <= SCORE_TOLERANCE


def _places(scores: Floats) -> Any:
    """Return the places (K, m), from 1, of K offers by the scores (K, m) of each column; ties keep their order."""
    order = np.argsort(-scores, axis=0, kind="stable")
    return np.argsort(order, axis=0, kind="stable") + 1


def _of_customer(names: Sequence[str], scores: Floats, places: Any) -> list[LeftOut]:
    return [
        LeftOut("customer", name, float(scores[0] - scores[number]), int(places[number]))
        for number, name in enumerate(names, start=1)
    ]


def _of_offer(names: Sequence[str], scores: Floats, others: Floats, row: int) -> list[LeftOut]:
    """Return what the offer's own features add; the other offers keep their scores, and equal ones come after it."""
    rest = np.delete(others, row)
    return [
        LeftOut("offer", name, float(others[row] - score), int((rest > score + SCORE_TOLERANCE).sum()) + 1)
        for name, score in zip(names, scores.tolist(), strict=True)
    ]


def _by_weight(part: LeftOut) -> tuple[float, str, str]:
    return (-abs(part.adds), part.side, part.feature)

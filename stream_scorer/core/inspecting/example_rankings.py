"""A few judged customers with the model's first offers, so that a person can see what it ranks."""

from collections.abc import Iterator

import numpy as np

from stream_scorer.core.evaluation.figures import ExampleRanking, PlacedOffer
from stream_scorer.core.evaluation.judging import Floats, Places, ScoredRows
from stream_scorer.core.evaluation.model_quality import RankedCatalog, scores_of
from stream_scorer.core.inspecting.feature_places import places_of, texts
from stream_scorer.core.messages import Offer

_EXAMPLES, _OFFERS_MAX, _FEATURES_MAX, _TEXT_MAX, _MISSED_MAX = 6, 10, 4, 60, 5


def example_rankings(judged: ScoredRows, ranked: RankedCatalog, rng: np.random.Generator) -> tuple[ExampleRanking, ...]:
    """Return rankings for customers drawn at random: chosen by hand, they would flatter or accuse."""
    if ranked.judgement is None:
        return ()
    asked = ranked.questions
    _, first = np.unique(asked.who, return_index=True)
    drawn = np.sort(rng.choice(first, min(_EXAMPLES, len(first)), replace=False))
    return tuple(_examples(judged, ranked, ranked.judgement.tops["model"], drawn))


def _examples(judged: ScoredRows, ranked: RankedCatalog, tops: Places, drawn: Places) -> Iterator[ExampleRanking]:
    asked, data = ranked.questions, judged.data
    places, score = places_of(judged.model.user_tower.spec), scores_of(judged, asked)
    for question in drawn.tolist():
        wanted = asked.wanted.offer[asked.wanted.customer == question].tolist()
        top = [one for one in tops[question].tolist() if asked.rankable[one]]
        missed = [judged.offers[one].offer_id for one in wanted if one not in top]
        yield ExampleRanking(
            customer_id=data.customer_ids[int(asked.who[question])],
            features=texts(data.customers, int(asked.view[question]), places),
            offers=tuple(_placed(judged, top[:_OFFERS_MAX], score(slice(question, question + 1))[0], set(wanted))),
            missed=tuple(missed[:_MISSED_MAX]),
        )


def _placed(judged: ScoredRows, top: list[int], scores: Floats, wanted: set[int]) -> Iterator[PlacedOffer]:
    for place in top:
        offer = judged.offers[place]
        yield PlacedOffer(offer.offer_id, float(scores[place]), place in wanted, _described(offer))


def _described(offer: Offer) -> str:
    """Return the first features of an offer as short text; vectors and long lists say nothing to a person."""
    stated = [
        f"{name} {_short(value)}"
        for name, value in offer.features.items()
        if value is not None and not (isinstance(value, list) and value and not isinstance(value[0], str))
    ]
    return ", ".join(stated[:_FEATURES_MAX])


def _short(value: object) -> str:
    text = (
        " ".join(map(str, value)) if isinstance(value, list) else f"{value:.5g}" if type(value) is float else str(value)
    )
    return text if len(text) <= _TEXT_MAX else f"{text[: _TEXT_MAX - 1]}…"

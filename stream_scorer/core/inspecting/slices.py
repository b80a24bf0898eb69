"""The figure of a judged model by slices: what is new, and the values of the requests' features."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_scorer.core.datasets.training_set import Places
from stream_scorer.core.evaluation.auc import auc_by_customer
from stream_scorer.core.evaluation.figures import SliceFigures, Slices
from stream_scorer.core.evaluation.intervals import normal_interval
from stream_scorer.core.evaluation.judging import ScoredRows
from stream_scorer.core.evaluation.model_quality import RankedCatalog
from stream_scorer.core.features.spec import Floats
from stream_scorer.core.held_out.beside import PAIRED_MIN
from stream_scorer.core.held_out.questions import quality
from stream_scorer.core.held_out.ranking_quality import AcceptedPairs
from stream_scorer.core.held_out.trivial import POPULARITY
from stream_scorer.core.inspecting.feature_places import Grouped, grouped, places_of

_VALUES_MAX, _FEATURES_MAX = 8, 8

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Units:
    """What is sliced (n,): judged rows, or accepted offers of questions.

    `figures` gives those per customer (C,) of the model and of popularity from some units.
    """

    figure: str
    views: Places
    new_customer: Mask
    new_offer: Mask
    figures: Callable[[Mask], tuple[Floats, Floats]]


def slices(judged: ScoredRows, ranked: RankedCatalog, k: int, features: Sequence[str]) -> Slices | None:
    """Return the figures by slices, features in the given order, which is by importance; None for nothing to slice.

    The figure is the AUC within customers, or nDCG where nothing was refused. Categories and numbers are sliced: the
    most frequent values, or quarters.
    """
    units = _of_rows(judged)
    if not len(units.figures(np.ones(len(units.views), bool))[0]):
        if ranked.judgement is None:
            return None
        units = _of_questions(judged, ranked, k)
    places, side = places_of(judged.model.user_tower.spec), judged.data.customers
    groups = [
        (name, group)
        for name in features
        if name in places and (group := grouped(side, units.views, places[name][0])) is not None
    ]
    found = [*_of_new(units)]
    for name, group in groups[:_FEATURES_MAX]:
        found += _of_values(units, name, group)
    return Slices(units.figure, tuple(found), max(0, len(groups) - _FEATURES_MAX))


def _of_new(units: _Units) -> Iterator[SliceFigures]:
    for name, new in (("customers", units.new_customer), ("offers", units.new_offer)):
        for value, chosen in (("known from before", ~new), ("new", new)):
            if chosen.any():
                yield _slice(units, name, value, chosen)


def _of_values(units: _Units, feature: str, group: Grouped) -> Iterator[SliceFigures]:
    """Yield a slice for each of the most frequent values, in the order of `names`, and one for all others."""
    counts = np.bincount(group.codes, minlength=len(group.names))
    shown = np.sort(np.argsort(-counts, kind="stable")[:_VALUES_MAX])
    for code in shown[counts[shown] > 0].tolist():
        yield _slice(units, feature, group.names[code], group.codes == code)
    others = ~np.isin(group.codes, shown)
    if others.any():
        yield _slice(units, feature, f"{int((counts > 0).sum()) - len(shown)} other values", others)


def _slice(units: _Units, feature: str, value: str, chosen: Mask) -> SliceFigures:
    model, popularity = units.figures(chosen)
    enough = len(model) >= PAIRED_MIN
    intervals = [normal_interval(each) if enough else None for each in (model, popularity, model - popularity)]
    return SliceFigures(feature, value, int(chosen.sum()), len(model), *intervals)


def _of_rows(judged: ScoredRows) -> _Units:
    who, accepted, place = judged.who, judged.accepted, judged.catalog_place
    scores, popularity = judged.scores(), judged.popularity

    def figures(chosen: Mask) -> tuple[Floats, Floats]:
        ours, theirs = (auc_by_customer(who[chosen], each[chosen], accepted[chosen]) for each in (scores, popularity))
        return ours, theirs

    return _Units(
        "AUC within customer",
        judged.data.customer[judged.rows].astype(np.int64),
        ~judged.known.customers[who],
        np.where(place >= 0, ~judged.known.offers[place], True),
        figures,
    )


def _of_questions(judged: ScoredRows, ranked: RankedCatalog, k: int) -> _Units:
    asked, judgement = ranked.questions, ranked.judgement
    assert judgement is not None, "without questions there is nothing to slice"
    tops, wanted = judgement.tops, asked.wanted

    def figures(chosen: Mask) -> tuple[Floats, Floats]:
        pairs = AcceptedPairs(wanted.customer[chosen], wanted.offer[chosen])
        ours, theirs = (quality(asked, tops[name], pairs).ndcg for name in ("model", POPULARITY))
        return ours, theirs

    new_customer = ~judged.known.customers[asked.who][wanted.customer]
    return _Units(f"nDCG@{k}", asked.view[wanted.customer], new_customer, ~judged.known.offers[wanted.offer], figures)

"""Judges a model that has two stages by the rows that judge its towers."""

import numpy as np

from stream_scorer.core.datasets.accepted_before import AcceptedBefore, accepted_before_stated
from stream_scorer.core.datasets.chunks import ExampleSource
from stream_scorer.core.datasets.training_set import Places, TrainingSet, build_training_set
from stream_scorer.core.evaluation.calibration import Choices, choices
from stream_scorer.core.evaluation.figures import TwoStages
from stream_scorer.core.evaluation.judging import ScoredRows
from stream_scorer.core.evaluation.policy_value import SecondStage
from stream_scorer.core.features.spec import Floats
from stream_scorer.core.held_out.questions import ask
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.reranker import SHORTLIST_DEFAULT, Shortlisted
from stream_scorer.core.two_stages.comparison import compare
from stream_scorer.core.two_stages.pairs import QUESTIONS_MAX, check_same, pairs_order, shortlist_pairs, shown_pairs


def plain_rows(judged: ScoredRows, labels: ExampleSource, seen: ExampleSource | None = None) -> TrainingSet | None:
    """Read again, as the re-ranker does, the `labels` and `seen` that the judged rows were read from; None without one.

    Raises UsageError where the labels changed meanwhile.
    """
    reranker = judged.model.reranker
    if reranker is None or not len(judged.rows):
        return None
    if most := accepted_before_stated(judged.model.facts):
        labels = AcceptedBefore(labels, most, seen)
    plain = build_training_set(labels, judged.offers, reranker.customer_spec, reranker.offer_spec)
    check_same(judged.data, plain)
    return plain


def within_requests(
    judged: ScoredRows, plain: TrainingSet | None, shortlist: int = SHORTLIST_DEFAULT
) -> tuple[TwoStages | None, Choices | None]:
    """Compare both stages within the judged requests, and judge the final scores by choices.

    `plain` has the rows as the re-ranker reads them. There is no comparison without a re-ranker, and where no request
    has an accepted and another offer. A log of acceptances alone has no choices: there both stages order the towers'
    shortlist of each request, of so many offers.
    """
    data, rows, reranker = judged.data, judged.rows, judged.model.reranker
    towers = judged.model.user_tower, judged.model.item_tower
    if not len(rows):
        return None, None
    if judged.accepted.all():
        if reranker is None or plain is None:
            return None, None
        asked = ask(data, judged.known.accepted, rows, rankable=judged.rankable(), apart=True)
        pairs = shortlist_pairs(data, plain, asked.sample(QUESTIONS_MAX, 0), towers, shortlist)
        return compare(pairs, pairs.scores(reranker)), None
    if reranker is None or plain is None:
        return None, _choices(judged, judged.scores())
    pairs = shown_pairs(data, plain, rows, towers)
    both, final = pairs.scores(reranker), np.empty(len(rows))
    final[pairs_order(data, rows)] = both
    return compare(pairs, both), _choices(judged, final)


def _choices(judged: ScoredRows, final: Floats) -> Choices:
    return choices(judged.data.request[judged.rows].astype(np.int64), final, judged.popularity, judged.accepted)


def second_stage_of(model: Model, plain: TrainingSet | None, shortlist: int = SHORTLIST_DEFAULT) -> SecondStage | None:
    """Return how the model orders the towers' shortlist, for off-policy estimates; None without a re-ranker."""
    reranker = model.reranker
    if reranker is None or plain is None:
        return None
    side = reranker.offers_of(plain.catalog.inputs(np.arange(len(plain.catalog))))

    def final(rows: Places, scores: Floats) -> Floats:
        tops = np.argsort(-scores, axis=1, kind="stable")[:, :shortlist]
        # what may not be shown fills the end of the shortlist where the catalog is small
        request, place = np.nonzero(np.isfinite(np.take_along_axis(scores, tops, axis=1)))
        offer = tops[request, place]
        listed = Shortlisted(request, offer, scores[request, offer], place + 1)
        customers = plain.customers.inputs(plain.customer[rows].astype(np.int64))
        found = np.full(scores.shape, -np.inf)
        found[request, offer] = reranker.scores_of(customers, listed, side)
        return found

    return final

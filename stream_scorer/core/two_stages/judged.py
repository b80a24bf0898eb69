"""Judges a model that has two stages by the rows that judge its towers."""

from stream_scorer.core.datasets.accepted_before import AcceptedBefore, accepted_before_stated
from stream_scorer.core.datasets.chunks import ExampleSource
from stream_scorer.core.datasets.training_set import build_training_set
from stream_scorer.core.evaluation.figures import TwoStages
from stream_scorer.core.evaluation.judging import ScoredRows
from stream_scorer.core.held_out.questions import ask
from stream_scorer.core.two_stages.comparison import compare
from stream_scorer.core.two_stages.pairs import QUESTIONS_MAX, shortlist_pairs, shown_pairs


def stages_of(judged: ScoredRows, labels: ExampleSource, seen: ExampleSource | None = None) -> TwoStages | None:
    """Compare both stages within the judged requests; `labels` and `seen` are what the judged rows were read from.

    None without a re-ranker, and where no request has an accepted and another offer. In a log of acceptances alone, the
    towers' shortlist of each request is ordered.
    """
    model, reranker = judged.model, judged.model.reranker
    if reranker is None or not len(judged.rows):
        return None
    if most := accepted_before_stated(model.facts):
        labels = AcceptedBefore(labels, most, seen)
    plain = build_training_set(labels, judged.offers, reranker.customer_spec, reranker.offer_spec)
    towers = model.user_tower, model.item_tower
    if judged.accepted.all():
        asked = ask(judged.data, judged.known.accepted, judged.rows, rankable=judged.rankable(), apart=True)
        pairs = shortlist_pairs(judged.data, plain, asked.sample(QUESTIONS_MAX, 0), towers)
    else:
        pairs = shown_pairs(judged.data, plain, judged.rows, towers)
    return compare(pairs, pairs.scores(reranker))

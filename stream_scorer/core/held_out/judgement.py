"""Judges rankings of the catalog, the model's and the trivial ones, overall and for new customers and offers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_scorer.core.datasets.training_set import Places
from stream_scorer.core.held_out.beside import Beside, beside
from stream_scorer.core.held_out.questions import Questions, quality, rank
from stream_scorer.core.held_out.ranking_quality import AcceptedPairs, RankingQuality, Scores
from stream_scorer.core.held_out.trivial import TrivialRankings

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Judgement:
    """Rankings (Q, k) by name, `model` first, and their figures by group, then by name."""

    tops: Mapping[str, Places]
    qualities: Mapping[str, Mapping[str, RankingQuality]]

    def beside(self, k: int) -> dict[str, Beside]:
        """Return the nDCG of each group beside the trivial rankings; groups without questions are left out."""
        return {
            group: beside(f"nDCG@{k}", {name: found.ndcg for name, found in each.items()})
            for group, each in self.qualities.items()
            if len(each["model"].ndcg)
        }


def judge_rankings(
    questions: Questions,
    scores_of: Callable[[slice], Scores],
    trivial: TrivialRankings,
    *,
    known_customers: Mask,
    known_offers: Mask,
    k: int,
) -> Judgement:
    """Rank by the model and by each trivial ranking; `scores_of` gives the model's scores (B, N) for a block."""
    tops = {name: rank(questions, of, k) for name, of in {"model": scores_of, **trivial.rankings(questions)}.items()}
    wanted = questions.wanted
    of_new = ~known_customers[questions.who][wanted.customer]
    groups = {
        "all": wanted,
        "new_customers": AcceptedPairs(wanted.customer[of_new], wanted.offer[of_new]),
        "new_offers": wanted.of_offers(~known_offers),
    }
    qualities = {
        group: {name: quality(questions, top, pairs) for name, top in tops.items()} for group, pairs in groups.items()
    }
    return Judgement(tops, qualities)

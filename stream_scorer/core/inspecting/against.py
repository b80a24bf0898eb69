"""Two models beside each other on the same rows, by the differences between their figures of each customer.

Pairing takes out what makes a customer easy or hard for both, so that smaller differences show than by two intervals.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from stream_scorer.core.datasets.training_set import Places, TrainingSet
from stream_scorer.core.evaluation.auc import auc_by_customer
from stream_scorer.core.evaluation.figures import AgainstFigures, PairedFigure
from stream_scorer.core.evaluation.intervals import mean_interval
from stream_scorer.core.evaluation.judging import SELF_SELECTED_MAX, ScoredRows, row_scores
from stream_scorer.core.features.spec import Floats
from stream_scorer.core.held_out.questions import QUESTIONS_BOUNDS, ask, quality, rank
from stream_scorer.core.held_out.ranking_quality import AcceptedPairs
from stream_scorer.core.inspecting.sampling import drawn_customers

_SCORES_MAX = 100_000_000  # questions times offers, of either model


@dataclass(frozen=True, slots=True)
class _Rival:
    """A model's judged rows, as places in data whose customers are numbered alike for both models."""

    judged: ScoredRows
    data: TrainingSet
    rows: Places
    accepted_before: AcceptedPairs

    @staticmethod
    def of(judged: ScoredRows, numbers: Mapping[str, int], from_ms: int) -> "_Rival":
        to = np.array([numbers[one] for one in judged.data.customer_ids], np.int64)
        data = replace(judged.data, who=to[judged.data.who].astype(np.int32))
        known = judged.known.accepted
        pairs = AcceptedPairs.of(to[known.customer], known.offer, catalog=len(judged.offers))
        return _Rival(judged, data, judged.rows[data.request_time_ms[judged.rows] >= from_ms], pairs)

    def with_customers(self, chosen: Places) -> "_Rival":
        return replace(self, rows=self.rows[np.isin(self.data.who[self.rows], chosen)])

    def digests(self, customers: int) -> Places:
        """Return sums over each customer's rows (C, 4), which are equal for two models that read the same rows."""
        data, rows = self.data, self.rows
        columns = [
            np.ones(len(rows), np.int64),
            data.accepted[rows].astype(np.int64),
            data.request_time_ms[rows],
            data.catalog_of[data.offer[rows]].astype(np.int64),
        ]
        sums = np.zeros((customers, len(columns)), np.int64)
        np.add.at(sums, data.who[rows], np.stack(columns, axis=1))
        return sums

    def auc(self) -> Floats:
        """Return the AUC (C,) of each customer that has both labels."""
        model = self.judged.model
        scores = row_scores(self.data, self.rows, model.user_tower, model.item_tower)
        return auc_by_customer(self.data.who[self.rows], scores, self.data.accepted[self.rows])

    def ndcg(self, known: AcceptedPairs, k: int) -> Floats:
        """Return the nDCG (C,) of each customer that accepted something; every request is a question of its own."""
        asked = ask(self.data, known, self.rows, rankable=self.judged.rankable(), scores_max=_SCORES_MAX, apart=True)
        tower, customers = self.judged.model.user_tower, self.data.customers
        tops = rank(asked, lambda block: tower.forward(customers.inputs(asked.view[block])) @ self.judged.vectors.T, k)
        return quality(asked, tops).ndcg


def against(ours: ScoredRows, other: ScoredRows, k: int, rng: np.random.Generator) -> AgainstFigures:
    """Compare two models that were judged by the same labels, on the rows later than what either learned from.

    Customers of whom one model reads other rows than the other are left out.
    """
    numbers = {
        one: place for place, one in enumerate(dict.fromkeys([*ours.data.customer_ids, *other.data.customer_ids]))
    }
    starts = [_first_ms(one) for one in (ours, other)]
    first, second = (_Rival.of(one, numbers, max(starts)) for one in (ours, other))
    sums, others = first.digests(len(numbers)), second.digests(len(numbers))
    same, any_row = (sums == others).all(axis=1), (sums[:, 0] > 0) | (others[:, 0] > 0)
    paired = np.flatnonzero(same & any_row)
    first, second = first.with_customers(paired), second.with_customers(paired)
    figures = [_paired("AUC within customer", first.auc(), second.auc(), rng)]
    # what was accepted before is known to both only up to the later of the two starts
    known = (first if starts[0] >= starts[1] else second).accepted_before
    asked = _asked(first, offers=len(ours.offers), rng=rng)
    mine, its = (one.with_customers(asked).ndcg(known, k) for one in (first, second))
    figures.append(_paired(f"nDCG@{k}", mine, its, rng))
    return AgainstFigures(
        model_id=other.model.model_id,
        rows=len(first.rows),
        customers_left_out=int((~same & any_row).sum()),
        figures=tuple(one for one in figures if one is not None),
        incomparable=_reason_favoured(ours, other),
    )


def _first_ms(judged: ScoredRows) -> int:
    times = judged.data.request_time_ms[judged.rows]
    return int(times.min()) if len(times) else 0


def _asked(rival: _Rival, *, offers: int, rng: np.random.Generator) -> Places:
    """Return the customers whose rankings are compared, so few that `ask` need not draw among their questions."""
    accepted = rival.rows[rival.data.accepted[rival.rows] == 1]
    most = int(np.clip(_SCORES_MAX // max(1, offers), *QUESTIONS_BOUNDS))
    who = rival.data.who[accepted]
    return np.flatnonzero(drawn_customers(who, most, rng, customers=len(rival.data.customer_ids)))


def _paired(figure: str, ours: Floats, its: Floats, rng: np.random.Generator) -> PairedFigure | None:
    model, other, above = (mean_interval(values, rng) for values in (ours, its, ours - its))
    if model is None or other is None or above is None:
        return None
    return PairedFigure(figure, len(ours), model, other, above)


def _reason_favoured(ours: ScoredRows, other: ScoredRows) -> str | None:
    """Return why a model is favoured: customers could accept only what was shown to them."""
    shares = {one.model.model_id: one.self_selected() for one in (ours, other)}
    named = [f"{share:.0%} by {model_id}" for model_id, share in shares.items() if share > SELF_SELECTED_MAX]
    if not named:
        return None
    return (
        f"of the judged rows were ranked {' and '.join(named)} itself, which favours it: nothing else could be accepted"
    )

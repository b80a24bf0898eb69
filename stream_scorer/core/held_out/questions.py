"""Held-out acceptances as questions: which offers of the catalog should come first for this request?

Where customers accept the same offers again and again, every request is a question of its own, and what the customer
had accepted before stays in the ranking, since in serving it must be ranked, too. Where they do not, the usual protocol
applies: a single question for all that a customer accepted under the same features, and offers accepted before are left
out of the ranking.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_scorer.core.datasets.training_set import Places, TrainingSet
from stream_scorer.core.held_out.ranking_quality import AcceptedPairs, RankingQuality, Scores, ranking_quality, top_k

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

REPEATS_MIN = 0.1
_SCORES_MAX = 100_000_000  # questions times offers; a training epoch over as many offers computes far more
QUESTIONS_BOUNDS = 1_000, 10_000  # at least and at most, where there are so many
_BLOCK_SCORES_MAX = 8_000_000  # in memory at once


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions (Q,): `view` is the encoded customer with the features of the request, `who` the customer.

    `wanted` and `left_out` pair questions with places in the catalog. `repeats` is the share of the held-out
    acceptances (`acceptances`) whose customer had accepted the same offer before; `drawn_from` says of how many
    questions these are a random sample.
    """

    view: Places
    who: Places
    wanted: AcceptedPairs
    left_out: AcceptedPairs
    rankable: Mask  # (N,)
    acceptances: int
    repeats: float
    drawn_from: int

    def __len__(self) -> int:
        """How many questions there are."""
        return len(self.view)

    @property
    def repeating(self) -> bool:
        """Whether offers that a customer accepted before stay in the ranking, since customers accept them again."""
        return self.repeats >= REPEATS_MIN

    def sample(self, most: int, seed: int) -> "Questions":
        """Return a random sample, the same for the same seed."""
        if len(self) <= most:
            return self
        chosen = np.sort(np.random.default_rng(seed).choice(len(self), most, replace=False))
        wanted, left_out = self.wanted.of_customers(chosen), self.left_out.of_customers(chosen)
        facts = self.rankable, self.acceptances, self.repeats, self.drawn_from
        return Questions(self.view[chosen], self.who[chosen], wanted, left_out, *facts)


def accepted_pairs(data: TrainingSet, rows: Places) -> AcceptedPairs:
    """Return who accepted what among some rows, without offers outside the catalog."""
    place = data.catalog_of[data.offer[rows]].astype(np.int64)
    kept = (place >= 0) & (data.accepted[rows] == 1)
    return AcceptedPairs.of(data.who[rows[kept]].astype(np.int64), place[kept], catalog=len(data.catalog))


def ask(
    data: TrainingSet,
    known: AcceptedPairs,
    rows: Places,
    *,
    rankable: Mask | None = None,
    scores_max: int = _SCORES_MAX,
    seed: int = 0,
    apart: bool = False,
) -> Questions:
    """Make questions of the held-out rows; `known` are the earlier acceptances.

    Offers that may not be ranked (`rankable` False) are not wanted either. Of very many questions a random sample is
    asked, so that at most about `scores_max` scores are computed. With `apart`, each request is a question of its own
    even where none repeats: how many requests look alike depends on the features that a model reads.
    """
    catalog = len(data.catalog)
    rankable = np.ones(catalog, bool) if rankable is None else rankable
    place = data.catalog_of[data.offer[rows]].astype(np.int64)
    wanted = (data.accepted[rows] == 1) & (place >= 0)
    # Only where an offer is in the catalog: a place of -1 would look up the last.
    wanted[wanted] = rankable[place[wanted]]
    rows, place = rows[wanted], place[wanted]
    who, view = data.who[rows].astype(np.int64), data.customer[rows].astype(np.int64)
    again = np.isin(who * catalog + place, known.customer * catalog + known.offer)
    repeats = float(again.mean()) if len(again) else 0.0
    repeating = repeats >= REPEATS_MIN
    if not repeating:
        who, view, place, rows = who[~again], view[~again], place[~again], rows[~again]
    of_request = data.request[rows].astype(np.int64) if repeating or apart else np.zeros(len(rows), np.int64)
    # A view alone is not one question: customers without an id among their inputs may look alike.
    keys, question = np.unique(np.stack([who, view, of_request], axis=1), axis=0, return_inverse=True)
    pairs = AcceptedPairs.of(question.reshape(-1), place, catalog=catalog)
    left_out = AcceptedPairs(keys[:0, 0], keys[:0, 0]) if repeating else known.of_customers(keys[:, 0])
    everything = Questions(keys[:, 1], keys[:, 0], pairs, left_out, rankable, len(again), repeats, len(keys))
    return everything.sample(int(np.clip(scores_max // max(1, catalog), *QUESTIONS_BOUNDS)), seed)


def rank(questions: Questions, scores_of: Callable[[slice], Scores], k: int) -> Places:
    """Return the best k offers for each question (Q, k).

    `scores_of` gives the scores (B, N) of a block of questions, in an array of its own, since that is overwritten.
    """
    tops = [
        top_k(_masked(questions, block, scores_of(block)), k) for block in _blocks(questions, len(questions.rankable))
    ]
    return np.concatenate(tops) if tops else np.zeros((0, min(k, len(questions.rankable))), np.int64)


def _blocks(questions: Questions, catalog: int) -> Iterator[slice]:
    step = max(1, _BLOCK_SCORES_MAX // max(1, catalog))
    for start in range(0, len(questions), step):
        yield slice(start, min(start + step, len(questions)))


def _masked(questions: Questions, block: slice, scores: Scores) -> Scores:
    """Overwrite with -inf, in place, the scores of what may not be ranked."""
    scores[:, ~questions.rankable] = -np.inf
    low, high = np.searchsorted(questions.left_out.customer, (block.start, block.stop))
    scores[questions.left_out.customer[low:high] - block.start, questions.left_out.offer[low:high]] = -np.inf
    return scores


def quality(questions: Questions, tops: Places, wanted: AcceptedPairs | None = None) -> RankingQuality:
    """Judge rankings (Q, k): figures per customer (C,), each the mean over the customer's questions.

    Where `wanted` is a subset of what is wanted, such as new offers, only questions that want any of it are judged.
    """
    wanted = questions.wanted if wanted is None else wanted
    found = ranking_quality(tops, wanted, catalog=len(questions.rankable))
    _, who = np.unique(questions.who[np.unique(wanted.customer)], return_inverse=True)
    return RankingQuality(*(by_customer(values, who.reshape(-1)) for values in found.figures()))


def by_customer(values: Floats, who: Places) -> Floats:
    """Return the mean (C, …) of the values (n, …) of each customer 0..C-1, so that all customers weigh the same."""
    sums = np.zeros((int(who.max(initial=-1)) + 1, *values.shape[1:]))
    np.add.at(sums, who, values)
    counts = np.bincount(who).reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray(sums / counts if len(counts) else sums)

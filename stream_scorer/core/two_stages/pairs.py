"""The pairs of a request and an offer by which a re-ranker is trained and judged, with what the towers say of each."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from stream_scorer.core.datasets.training_set import EncodedSide, Places, TrainingSet
from stream_scorer.core.evaluation.judging import row_scores
from stream_scorer.core.features.spec import Floats
from stream_scorer.core.held_out.questions import Questions, rank
from stream_scorer.core.towers.reranker import SHORTLIST_DEFAULT, OfferSide, Reranker, Shortlisted
from stream_scorer.core.towers.tower import Tower
from stream_scorer.errors import UsageError

Towers = tuple[Tower, Tower]

QUESTIONS_MAX = 2_000
REQUESTS_MIN = 20  # with an accepted and another offer
_BLOCK_REQUESTS = 512


@dataclass(frozen=True, slots=True)
class RequestPairs:
    """Pairs as columns (M,), those of a request side by side; sides are encoded by the re-ranker's own specs.

    `group` numbers the requests 0, 1, … in order of time. `shown_rank` is where the log says that the offer stood, 0
    where it does not. `rank` is the towers' rank; 0 for all where the log has shown offers alone, as the towers' own
    shortlist is not known then.
    """

    customers: EncodedSide
    offers: EncodedSide
    customer: Places
    offer: Places
    group: Places
    accepted: npt.NDArray[np.int8]
    score: Floats
    rank: Places
    shown_rank: Places

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.group)

    @property
    def groups(self) -> int:
        """How many requests there are."""
        return int(self.group[-1]) + 1 if len(self) else 0

    def of_groups(self, start: int, stop: int) -> "RequestPairs":
        """Return the pairs of the requests from `start` up to, not including, `stop`."""
        low, high = np.searchsorted(self.group, (start, stop))
        return self.take(np.arange(low, high))

    def take(self, rows: Places) -> "RequestPairs":
        """Return some pairs; their requests are numbered anew."""
        _, group = np.unique(self.group[rows], return_inverse=True)
        return replace(
            self,
            customer=self.customer[rows],
            offer=self.offer[rows],
            group=group.reshape(-1).astype(np.int64),
            accepted=self.accepted[rows],
            score=self.score[rows],
            rank=self.rank[rows],
            shown_rank=self.shown_rank[rows],
        )

    def scores(self, reranker: Reranker) -> Floats:
        """Return the re-ranker's scores (M,)."""
        offers, offer_of = np.unique(self.offer, return_inverse=True)
        side = reranker.offers_of(self.offers.inputs(offers))
        first = np.searchsorted(self.group, np.arange(0, self.groups + _BLOCK_REQUESTS, _BLOCK_REQUESTS))
        parts = [
            self._scores(reranker, side, offer_of.reshape(-1), slice(int(low), int(high)))
            for low, high in pairwise(first)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _scores(self, reranker: Reranker, side: OfferSide, offer_of: Places, block: slice) -> Floats:
        # a request's rows may state the customer differently, so that views and not requests are what is encoded
        views, view_of = np.unique(self.customer[block], return_inverse=True)
        listed = Shortlisted(view_of.reshape(-1), offer_of[block], self.score[block], self.rank[block])
        return reranker.scores_of(self.customers.inputs(views), listed, side)


def joined(parts: list[RequestPairs]) -> RequestPairs:
    """Return the pairs of all parts, whose requests differ."""
    shift = np.cumsum([0, *(part.groups for part in parts)])
    columns = ("customer", "offer", "accepted", "score", "rank", "shown_rank")
    return replace(
        parts[0],
        group=np.concatenate([part.group + first for part, first in zip(parts, shift, strict=False)]),
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in columns},  # type: ignore[arg-type]
    )


def shown_pairs(data: TrainingSet, plain: TrainingSet, rows: Places, towers: Towers) -> RequestPairs:
    """Return the rows of the log as pairs, scored by the towers; `plain` has the same rows by the re-ranker's specs."""
    check_same(data, plain)
    group = _group(data, rows)
    order = pairs_order(data, rows)
    rows = rows[order]
    return RequestPairs(
        plain.customers,
        plain.offers,
        plain.customer[rows].astype(np.int64),
        plain.offer[rows].astype(np.int64),
        group[order].astype(np.int64),
        data.accepted[rows],
        row_scores(data, rows, *towers),
        np.zeros(len(rows), np.int64),
        data.rank[rows].astype(np.int64),
    )


def pairs_order(data: TrainingSet, rows: Places) -> Places:
    """Return the places of the rows (n,) in the order of `shown_pairs`."""
    return np.argsort(_group(data, rows), kind="stable")


def _group(data: TrainingSet, rows: Places) -> Places:
    """Number the requests of the rows (n,) in order of time: by their first row."""
    _, first, of = np.unique(_together(data, rows), return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[of.reshape(-1)]


def _together(data: TrainingSet, rows: Places) -> npt.NDArray[np.int32]:
    """Return whose rows are compared: a request's, or a customer's where hardly a request has rows of both labels."""
    request = np.unique(data.request[rows], return_inverse=True)[1].reshape(-1)
    sizes, taken = np.bincount(request), np.bincount(request, data.accepted[rows])
    return data.request[rows] if ((taken > 0) & (taken < sizes)).sum() >= REQUESTS_MIN else data.who[rows]


def shortlist_pairs(
    data: TrainingSet, plain: TrainingSet, questions: Questions, towers: Towers, shortlist: int = SHORTLIST_DEFAULT
) -> RequestPairs:
    """Return the towers' shortlist of each question as pairs: what serving would re-rank."""
    check_same(data, plain)
    user_tower, item_tower = towers
    items = item_tower.forward(data.catalog.inputs(np.arange(len(data.catalog)))).astype(np.float32).T

    def scores_of(block: slice) -> npt.NDArray[np.floating]:
        users = user_tower.forward(data.customers.inputs(questions.view[block])).astype(np.float32)
        return np.asarray(users @ items)

    tops = rank(questions, scores_of, shortlist)  # (Q, S)
    count, width = tops.shape
    request = np.repeat(np.arange(count), width)
    users = user_tower.forward(data.customers.inputs(questions.view))
    score = np.einsum("qp,qsp->qs", users, items.T[tops].astype(np.float64)).reshape(-1)
    views, row_of = np.unique(data.customer, return_index=True)
    customer = plain.customer[row_of[np.searchsorted(views, questions.view)]].astype(np.int64)
    keys = questions.wanted.customer * len(data.catalog) + questions.wanted.offer
    place = tops.reshape(-1).astype(np.int64)
    pairs = RequestPairs(
        plain.customers,
        plain.catalog,
        customer[request],
        place,
        request,
        np.isin(request * len(data.catalog) + place, keys).astype(np.int8),
        score,
        np.tile(np.arange(1, width + 1), count),
        np.zeros(len(place), np.int64),
    )
    # what is left out of the ranking fills its end where the catalog is small
    masked = questions.left_out.customer * len(data.catalog) + questions.left_out.offer
    out = np.isin(request * len(data.catalog) + place, masked) | ~questions.rankable[place]
    return pairs.take(np.flatnonzero(~out)) if out.any() else pairs


def check_same(data: TrainingSet, plain: TrainingSet) -> None:
    """Raise UsageError where the two encodings of the same labels have other rows."""
    if len(data) != len(plain) or (data.request_time_ms != plain.request_time_ms).any():
        raise UsageError(f"the labels changed while they were read: {len(data)} rows, then {len(plain)}")

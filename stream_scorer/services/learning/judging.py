"""Tells what is judged from what a model could know, and encodes it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stream_scorer.core.datasets.chunks import ExampleChunk, ExampleSource
from stream_scorer.core.datasets.training_set import TrainingSet, build_training_set
from stream_scorer.core.evaluation.ranking_quality import Pairs
from stream_scorer.core.messages import Offer
from stream_scorer.core.towers.model import Model
from stream_scorer.errors import UsageError

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the model could know: who accepted which offer, and who and what was there at all."""

    accepted: Pairs
    customers: Mask  # of the judged set's customers
    offers: Mask  # of the catalog
    popularity: Floats  # acceptances (N,)


@dataclass(frozen=True, slots=True)
class Judged:
    """The rows that are judged, and the vectors."""

    data: TrainingSet
    rows: Places
    seen: Seen
    offers: Sequence[Offer]
    vectors: Floats  # (N, p)
    model: Model
    _scores: list[Floats] = field(default_factory=list, repr=False, compare=False)

    def scores(self) -> Floats:
        """Return the scores of the judged rows, by the features that they carry (n,); made once."""
        if not self._scores:
            self._scores.append(self._scored())
        return self._scores[0]

    def _scored(self) -> Floats:
        customers, customer_of = np.unique(self.data.customer[self.rows], return_inverse=True)
        offers, offer_of = np.unique(self.data.offer[self.rows], return_inverse=True)
        users = self.model.user_tower.forward(self.data.customers.inputs(customers.astype(np.int64)))
        items = self.model.item_tower.forward(self.data.offers.inputs(offers.astype(np.int64)))
        return np.asarray(np.einsum("np,np->n", users[customer_of.reshape(-1)], items[offer_of.reshape(-1)]))

    @property
    def who(self) -> npt.NDArray[np.int32]:
        """Customers of the rows (n,)."""
        return self.data.who[self.rows]

    @property
    def accepted(self) -> npt.NDArray[np.int8]:
        """Labels of the rows (n,)."""
        return self.data.accepted[self.rows]

    @property
    def catalog_place(self) -> Places:
        """Places of the rows' offers in the catalog (n,), -1 for none."""
        return self.data.catalog_of[self.data.offer[self.rows]].astype(np.int64)

    @property
    def popularity(self) -> Floats:
        """How often the rows' offers had been accepted before (n,)."""
        place = self.catalog_place
        return np.where(place >= 0, self.seen.popularity[place], 0.0)


def judge(
    model: Model, offers: Sequence[Offer], labels: ExampleSource, seen: ExampleSource | None, *, held_out: float
) -> Judged:
    """Encode the labels and tell what is judged from what was seen.

    A request later than every offer nobody answered for is not judged: of those only the answered offers are examples yet. Without
    `seen`, the labels that are later than all that the model learned from are judged, or else a share of `held_out`, the latest.
    """
    closing = _Closing(labels)
    data = build_training_set(closing, offers, model.user_tower.spec, model.item_tower.spec)
    closed = data.request_time_ms <= closing.until_ms
    rows = np.flatnonzero(closed)
    if seen is None:
        judged_from_ms = _boundary_ms(data, model, held_out)
        rows = np.flatnonzero(closed & (data.request_time_ms >= judged_from_ms))
        known = _seen_rows(data, np.flatnonzero(data.request_time_ms < judged_from_ms))
    else:
        known = _seen_source(data, seen, [offer.offer_id for offer in offers])
    vectors = model.item_tower.forward(data.catalog.inputs(np.arange(len(data.catalog))))
    return Judged(data, rows, known, offers, vectors, model)


class _Closing:
    """Passes examples on, and notes how late the latest request is whose window has closed."""

    def __init__(self, source: ExampleSource) -> None:
        self.source, self.assumed_ms = source, -1

    def chunks(self) -> Iterator[ExampleChunk]:
        """See ExampleSource."""
        for chunk in self.source.chunks():
            self.assumed_ms = max(self.assumed_ms, int(chunk.request_time_ms[~chunk.shown].max(initial=-1)))
            yield chunk

    @property
    def until_ms(self) -> float:
        """The latest request with an offer that nobody answered for; where there is none at all, labels know no windows."""
        return self.assumed_ms if self.assumed_ms >= 0 else np.inf


def _boundary_ms(data: TrainingSet, model: Model, share: float) -> int:
    """Return the time from which rows are judged: behind the last that the model learned from, the latest share of those at most."""
    times = data.request_time_ms
    latest = int(times[int(len(times) * (1 - share))])
    learned_until = model.facts.get("trained_until_ms")
    if not isinstance(learned_until, int):
        return latest
    if learned_until >= times[-1]:
        raise UsageError(
            f"the model learned from rows up to {learned_until} ms, and no label is later; judge it by others, and give --seen"
        )
    return learned_until + 1 if learned_until >= times[0] else latest


def _seen_rows(data: TrainingSet, rows: Places) -> Seen:
    place = data.catalog_of[data.offer[rows]].astype(np.int64)
    return _seen(data, data.who[rows].astype(np.int64), place, data.accepted[rows] == 1)


def _seen_source(data: TrainingSet, source: ExampleSource, offer_ids: Sequence[str]) -> Seen:
    who = {one: place for place, one in enumerate(data.customer_ids)}
    catalog = {one: place for place, one in enumerate(offer_ids)}
    parts: list[tuple[Places, Places, Mask]] = []
    for chunk in source.chunks():
        customers = np.array([who.get(one, -1) for one in chunk.customers.ids], np.int64)
        offers = np.array([catalog.get(one, -1) for one in chunk.offers.ids], np.int64)
        parts.append((customers[chunk.customer], offers[chunk.offer], chunk.accepted == 1))
    return _seen(data, *(np.concatenate(column) for column in zip(*parts, strict=True)))


def _seen(data: TrainingSet, who: Places, place: Places, accepted: Mask) -> Seen:
    catalog = len(data.catalog)
    pairs = accepted & (who >= 0) & (place >= 0)
    customers, offers = np.zeros(len(data.customer_ids), bool), np.zeros(catalog, bool)
    customers[who[who >= 0]] = True
    offers[place[place >= 0]] = True
    popularity = np.bincount(place[accepted & (place >= 0)], minlength=catalog).astype(np.float64)
    return Seen(Pairs.of(who[pairs], place[pairs], catalog=catalog), customers, offers, popularity)

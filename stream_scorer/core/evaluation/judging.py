"""Separates the labels to be judged from what a model could know, and encodes them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stream_scorer.core.datasets.accepted_before import AcceptedBefore, accepted_before_stated
from stream_scorer.core.datasets.catalog_check import CatalogCheck
from stream_scorer.core.datasets.chunks import ExampleChunk, ExampleSource
from stream_scorer.core.datasets.training_set import TrainingSet, build_training_set, side_of
from stream_scorer.core.features.spec import FeatureSpec
from stream_scorer.core.held_out.ranking_quality import AcceptedPairs
from stream_scorer.core.held_out.trivial import Contexts, KnownAcceptances, TrivialRankings
from stream_scorer.core.messages import Offer
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.tower import Tower
from stream_scorer.errors import UsageError

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

SELF_SELECTED_MAX = 0.1  # of the judged rows may have been ranked by the judged model itself

_BLOCK = 65_536  # rows whose vectors are in memory at once
# A logged score is the float64 product of float32 vectors, but it is kept here as float32, and may be off by so much.
_SAME_SCORE = 1e-5


@dataclass(frozen=True, slots=True)
class KnownBefore:
    """What the model could know: who accepted which offer, and which customers and offers were there at all."""

    accepted: AcceptedPairs
    customers: Mask  # of the judged set's customers
    offers: Mask  # of the catalog
    popularity: Floats  # acceptances (N,)
    trivial: TrivialRankings


@dataclass(frozen=True, slots=True)
class JudgedRows:
    """The rows of labels that are judged."""

    data: TrainingSet
    rows: Places
    offers: Sequence[Offer]
    check: CatalogCheck  # of all labels that were read, those that are not judged among them

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


def row_scores(data: TrainingSet, rows: Places, user_tower: Tower, item_tower: Tower) -> Floats:
    """Return the scores of rows (n,), from the features that each row itself states."""
    # Rows that share a customer's or an offer's features share a pass through its tower.
    customers, customer_of = np.unique(data.customer[rows], return_inverse=True)
    offers, offer_of = np.unique(data.offer[rows], return_inverse=True)
    users = user_tower.forward(data.customers.inputs(customers.astype(np.int64)))
    items = item_tower.forward(data.offers.inputs(offers.astype(np.int64)))
    scores, customer_of, offer_of = np.empty(len(rows)), customer_of.reshape(-1), offer_of.reshape(-1)
    for start in range(0, len(rows), _BLOCK):
        block = slice(start, start + _BLOCK)
        scores[block] = np.einsum("np,np->n", users[customer_of[block]], items[offer_of[block]])
    return scores


@dataclass(frozen=True, slots=True)
class ScoredRows(JudgedRows):
    """Judged rows, the model that is judged by them, and what it could know.

    `closed` are all rows whose window has closed, including those that the model may have learned from.
    """

    closed: Places
    known: KnownBefore
    vectors: Floats  # (N, p)
    model: Model
    _scores: list[Floats] = field(default_factory=list, repr=False, compare=False)

    def scores(self) -> Floats:
        """Return the scores of the judged rows (n,), by the features that they state; they are computed once."""
        if not self._scores:
            self._scores.append(row_scores(self.data, self.rows, self.model.user_tower, self.model.item_tower))
        return self._scores[0]

    @property
    def popularity(self) -> Floats:
        """How often the rows' offers had been accepted before (n,)."""
        place = self.catalog_place
        return np.where(place >= 0, self.known.popularity[place], 0.0)

    @property
    def popularity_known(self) -> bool:
        """Whether any acceptance is earlier than the judged rows."""
        return bool(self.known.popularity.any())

    def self_selected(self) -> float:
        """Return the share of the rows with a logged score that have this model's own score: it ranked them itself."""
        logged = self.data.score[self.rows].astype(np.float64)
        stated = np.isfinite(logged)
        return float((np.abs(logged - self.scores())[stated] < _SAME_SCORE).mean()) if stated.any() else 0.0

    def rankable(self) -> Mask:
        """Return which offers (N,) may be ranked: those that are active, and valid at some time that is judged."""
        times = self.data.request_time_ms[self.rows]
        from_ms, until_ms = (int(times.min()), int(times.max())) if len(times) else (0, 0)
        return np.array([_rankable(offer, from_ms, until_ms) for offer in self.offers], bool)


def _rankable(offer: Offer, from_ms: int, until_ms: int) -> bool:
    begun = offer.valid_from_ms is None or offer.valid_from_ms <= until_ms
    return offer.active and begun and (offer.valid_until_ms is None or offer.valid_until_ms > from_ms)


def judge(
    model: Model,
    offers: Sequence[Offer],
    labels: ExampleSource,
    seen: ExampleSource | None,
    *,
    held_out: float,
    keep_earlier: bool = False,
) -> ScoredRows:
    """Encode the labels and separate what is judged from what was seen.

    A request later than the last with an unanswered offer is not judged: its window may be open, and so far only its
    answered offers are examples. Without `seen`, the labels later than all that the model learned from are judged,
    or the latest share of `held_out` where the model states no such time. With `keep_earlier`, that share is judged
    even where all labels are later, so that the others show what is popular.

    Raises UsageError when the model learned from rows as late as all labels, when no label can be encoded, when most
    labels are of offers that the catalog lacks, and when `seen` has no examples.
    """
    if most := accepted_before_stated(model.facts):
        labels = AcceptedBefore(labels, most, seen)  # what serving would have stated, where a label does not
    user_spec = model.user_tower.spec
    data, closed, check = _read(labels, offers, user_spec, model.item_tower.spec)
    rows = closed
    if seen is None:
        judged_from_ms = _boundary_ms(data, model, held_out, keep_earlier=keep_earlier)
        rows = closed[data.request_time_ms[closed] >= judged_from_ms]
        known = _known_rows(data, np.flatnonzero(data.request_time_ms < judged_from_ms), user_spec)
    else:
        known = _known_source(data, seen, [offer.offer_id for offer in offers], user_spec)
    vectors = model.item_tower.forward(data.catalog.inputs(np.arange(len(data.catalog))))
    return ScoredRows(data, rows, offers, check, closed, known, vectors, model)


def judge_all(offers: Sequence[Offer], labels: ExampleSource) -> JudgedRows:
    """Take all labels whose window has closed, for a policy that knows nothing but offers: no features are encoded."""
    data, closed, check = _read(labels, offers, FeatureSpec("customer", ()), FeatureSpec("offer", ()))
    return JudgedRows(data, closed, offers, check)


def _read(
    labels: ExampleSource, offers: Sequence[Offer], user_spec: FeatureSpec, item_spec: FeatureSpec
) -> tuple[TrainingSet, Places, CatalogCheck]:
    """Return the encoded labels, which of them have a closed window, and how many the catalog knows.

    Raises UsageError when none can be encoded, and when most are of offers that the catalog lacks.
    """
    closing = _Closing(labels, CatalogCheck(offers))
    data = build_training_set(closing, offers, user_spec, item_spec)
    if not len(data):
        raise UsageError(f"none of {data.refused:,} labels can be judged: their features do not fit the model")
    closing.check.check()
    return data, np.flatnonzero(data.request_time_ms <= closing.until_ms), closing.check


class _Closing:
    """Passes examples on, notes the latest request whose window has closed, and counts offers that are unknown."""

    def __init__(self, source: ExampleSource, check: CatalogCheck) -> None:
        self.source, self.check, self.assumed_ms = source, check, -1

    def chunks(self) -> Iterator[ExampleChunk]:
        """See ExampleSource."""
        for chunk in self.source.chunks():
            self.check.add(chunk.offers.ids, chunk.offer)
            self.assumed_ms = max(self.assumed_ms, int(chunk.request_time_ms[~chunk.shown].max(initial=-1)))
            yield chunk

    @property
    def until_ms(self) -> float:
        """The time of the latest request with an unanswered offer.

        It is infinite where there is none, since such labels have no windows.
        """
        return self.assumed_ms if self.assumed_ms >= 0 else np.inf


def _boundary_ms(data: TrainingSet, model: Model, share: float, *, keep_earlier: bool) -> int:
    """Return the time from which rows are judged: after all that the model learned from, or that of the latest share.

    Raises UsageError when no label is later than what the model learned from.
    """
    times = data.request_time_ms
    latest = int(times[int(len(times) * (1 - share))])
    learned_until = model.facts.get("trained_until_ms")
    if not isinstance(learned_until, int):
        return latest
    if learned_until >= times[-1]:
        options = model.facts.get("options")
        refitted = isinstance(options, Mapping) and options.get("refit")
        raise UsageError(
            f"the model learned from rows up to {learned_until} ms, and no label is later: judge it by later labels"
            + (", or train it with --no-refit, which does not learn from the latest" if refitted else "")
        )
    return latest if keep_earlier and learned_until < times[0] else learned_until + 1


def _known_rows(data: TrainingSet, rows: Places, spec: FeatureSpec) -> KnownBefore:
    contexts = Contexts.of(data.customers, spec)
    place = data.catalog_of[data.offer[rows]].astype(np.int64)
    was_there = data.who[rows].astype(np.int64), place
    return _known(data, was_there, KnownAcceptances.of(data, rows, contexts), contexts)


def _known_source(data: TrainingSet, source: ExampleSource, offer_ids: Sequence[str], spec: FeatureSpec) -> KnownBefore:
    who = {one: place for place, one in enumerate(data.customer_ids)}
    catalog = {one: place for place, one in enumerate(offer_ids)}
    parts: list[tuple[Places, Places, Mask, npt.NDArray[np.int32]]] = []
    for chunk in source.chunks():
        customers = np.array([who.get(one, -1) for one in chunk.customers.ids], np.int64)
        offers = np.array([catalog.get(one, -1) for one in chunk.offers.ids], np.int64)
        values = Contexts.of(side_of(spec, chunk.customers)[0], spec).values
        parts.append((customers[chunk.customer], offers[chunk.offer], chunk.accepted == 1, values[chunk.customer]))
    if not parts:
        raise UsageError("there are no labelled examples in what the model could know (--seen)")
    customer, offer, accepted, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    kept = accepted & (offer >= 0)
    acceptances = KnownAcceptances(customer[kept], offer[kept], values[kept])
    return _known(data, (customer, offer), acceptances, Contexts.of(data.customers, spec))


def _known(
    data: TrainingSet, was_there: tuple[Places, Places], acceptances: KnownAcceptances, contexts: Contexts
) -> KnownBefore:
    """Return what earlier rows, by their customers and offers (-1: not judged), and their acceptances make known."""
    customers, offers = np.zeros(len(data.customer_ids), bool), np.zeros(len(data.catalog), bool)
    for seen, place in zip((customers, offers), was_there, strict=True):
        seen[place[place >= 0]] = True
    judged = acceptances.who >= 0
    pairs = AcceptedPairs.of(acceptances.who[judged], acceptances.offer[judged], catalog=len(data.catalog))
    trivial = TrivialRankings(len(data.catalog), contexts, acceptances)
    return KnownBefore(pairs, customers, offers, trivial.popularity.astype(np.float64), trivial)

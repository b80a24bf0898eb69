"""Trivial rankings, which a model must beat: at random, by popularity, also in a context, and by customers' habits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_scorer.core.datasets.training_set import EncodedSide, Places, TrainingSet
from stream_scorer.core.features.slots import Category
from stream_scorer.core.features.spec import FeatureSpec
from stream_scorer.core.held_out.questions import Questions, quality, rank
from stream_scorer.core.held_out.ranking_quality import runs

Scores = npt.NDArray[np.float32]
ScoresOf = Callable[[slice], Scores]

POPULARITY, RANDOM, OWN = "popularity", "a random order", "the customer's own frequency"
_CONTEXT = "popularity by {}"
_COMPARED_MAX = 1_000  # questions on which the best context is chosen
_CONTEXTS_MAX = 32


@dataclass(frozen=True, slots=True)
class Contexts:
    """The categorical features of requests: their names, and each encoded customer's value of each (views, F)."""

    names: tuple[str, ...]
    values: npt.NDArray[np.int32]

    @staticmethod
    def of(side: EncodedSide, spec: FeatureSpec) -> "Contexts":
        """Read them from encoded customers: the first table row of a value stands for it."""
        slots = [place for place, slot in enumerate(spec.slots) if isinstance(slot, Category) and not slot.from_id][
            :_CONTEXTS_MAX
        ]
        values = side.rows[side.starts[np.arange(len(side))[:, None] * side.slots + np.array(slots, np.int64)]]
        return Contexts(tuple(spec.slots[place].name for place in slots), values)


@dataclass(frozen=True, slots=True)
class KnownAcceptances:
    """Earlier acceptances (n,), in any order: by whom, of which offer, and under which context values (n, F)."""

    who: Places
    offer: Places
    values: npt.NDArray[np.int32]

    @staticmethod
    def of(data: TrainingSet, rows: Places, contexts: Contexts) -> "KnownAcceptances":
        """Take the acceptances among some rows, without those of offers outside the catalog."""
        place = data.catalog_of[data.offer[rows]].astype(np.int64)
        kept = (place >= 0) & (data.accepted[rows] == 1)
        return KnownAcceptances(
            data.who[rows[kept]].astype(np.int64), place[kept], contexts.values[data.customer[rows[kept]]]
        )


@dataclass(frozen=True, slots=True)
class _Counts:
    """How often an offer was accepted under a key, sorted by key and offer."""

    key: Places
    offer: Places
    count: Scores
    catalog: int

    @staticmethod
    def of(key: Places, offer: Places, catalog: int) -> "_Counts":
        pairs, count = np.unique(key * catalog + offer, return_counts=True)
        return _Counts(pairs // catalog, pairs % catalog, count.astype(np.float32), catalog)

    def block(self, keys: Places) -> Scores:
        """Return the counts of all offers (B, N) under some keys (B,)."""
        first, end = (np.searchsorted(self.key, keys, side=side) for side in ("left", "right"))
        places, counts = runs(first, end - first), np.zeros((len(keys), self.catalog), np.float32)
        counts[np.repeat(np.arange(len(keys)), end - first), self.offer[places]] = self.count[places]
        return counts

    def of_pairs(self, keys: Places, offers: Places) -> Scores:
        """Return the counts (n,) of pairs; an offer of -1 has none."""
        found = np.zeros(len(keys), np.float32)
        if not len(self.key):
            return found
        pairs = self.key * self.catalog + self.offer
        wanted = np.where(offers < 0, -1, keys * self.catalog + offers)
        place = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
        there = (pairs[place] == wanted) & (offers >= 0)  # a key of -1 has negative pairs, too, and may match -1
        found[there] = self.count[place[there]]
        return found


class TrivialRankings:
    """Scores of the trivial rankings, by name; ties, and offers never accepted under a key, follow popularity."""

    def __init__(self, catalog: int, contexts: Contexts, known: KnownAcceptances) -> None:
        """Count the known acceptances; `catalog` is the number of offers."""
        self.contexts, self.known, self.catalog = contexts, known, catalog
        self.popularity = np.bincount(known.offer, minlength=catalog).astype(np.float32)
        # In all it is less than an acceptance, so that it only breaks ties.
        self.fraction = self.popularity / (self.popularity.sum() + 1)

    def rankings(self, questions: Questions, *, seed: int = 0) -> dict[str, ScoresOf]:
        """Return the trivial rankings of some questions, with only the context that ranks a sample of them best."""
        found: dict[str, ScoresOf] = {
            POPULARITY: lambda block: np.tile(self.popularity, (block.stop - block.start, 1)),
            RANDOM: _random(np.random.default_rng(seed), self.catalog),
        }
        if (best := self._best_context(questions.sample(_COMPARED_MAX, seed))) is not None:
            found[_CONTEXT.format(self.contexts.names[best])] = self._by(
                self._context(best), self._key(questions, best)
            )
        if questions.repeating:  # otherwise offers accepted before are not ranked
            found[OWN] = self._by(self._own(), questions.who)
        return found

    def of_rows(self, data: TrainingSet, rows: Places, measure: Callable[[Scores], float]) -> dict[str, Scores]:
        """Return the trivial scores of some labelled rows (n,), popularity first; `measure` picks the best context."""
        place = data.catalog_of[data.offer[rows]].astype(np.int64)
        ties = np.where(place >= 0, self.fraction[place], np.float32(0))
        found = {POPULARITY: np.where(place >= 0, self.popularity[place], np.float32(0))}
        values = self.contexts.values[data.customer[rows]].astype(np.int64)
        by_context = {
            _CONTEXT.format(name): self._context(number).of_pairs(values[:, number], place) + ties
            for number, name in enumerate(self.contexts.names)
        }
        if by_context:
            best = max(by_context, key=lambda name: measure(by_context[name]))
            found[best] = by_context[best]
        found[OWN] = self._own().of_pairs(data.who[rows].astype(np.int64), place) + ties
        return found

    def _context(self, number: int) -> _Counts:
        return _Counts.of(self.known.values[:, number].astype(np.int64), self.known.offer, self.catalog)

    def _own(self) -> _Counts:
        return _Counts.of(self.known.who, self.known.offer, self.catalog)

    def _key(self, questions: Questions, number: int) -> Places:
        values: Places = self.contexts.values[questions.view, number].astype(np.int64)
        return values

    def _by(self, counts: _Counts, keys: Places) -> ScoresOf:
        return lambda block: counts.block(keys[block]) + self.fraction

    def _best_context(self, questions: Questions) -> int | None:
        def ndcg(number: int) -> float:
            tops = rank(questions, self._by(self._context(number), self._key(questions, number)), 10)
            return float(quality(questions, tops).ndcg.mean())

        names: Sequence[str] = self.contexts.names
        return max(range(len(names)), key=ndcg) if len(names) and len(questions) else None


def _random(rng: np.random.Generator, catalog: int) -> ScoresOf:
    return lambda block: rng.random((block.stop - block.start, catalog), np.float32)

"""Encodes rankings as JSON by joining prepared fragments, with every field in the order of `messages.Ranking`.

No message is built, since that would cost more than the ranking itself. A test checks that what is written here reads
back as a `Ranking`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_scorer.core.messages import LIMIT_MAX, CustomerRequest
from stream_scorer.core.ranking.best_offers import Ranked, Scores
from stream_scorer.core.releases.catalog import Catalog, Rows
from stream_scorer.core.releases.offer_overlay import OfferOverlay
from stream_scorer.core.releases.packed_texts import PackedIds, PackedTexts

_RANKS = [b'%d,"score":' % rank for rank in range(1, LIMIT_MAX + 1)]
# How an offer begins. It closes the offer before, too, so that no features are copied to add a brace.
_HEAD = b'},{"offer_id":%b,"rank":'
_PARTS = 5  # of each offer: head, rank, score, propensity, features; and what a re-ranker adds, where there is one

_NOTHING: dict[str, int] = {}
_encode, _encode_lines = msgspec.json.Encoder().encode, msgspec.json.Encoder().encode_lines


class Fragments(Protocol):
    """A text for each offer."""

    def take(self, rows: Rows) -> list[bytes]:
        """Return the texts of these rows."""


@dataclass(frozen=True, slots=True, eq=False)
class _Listed:
    """Texts as objects: an array takes many of its objects at once, sooner than a list does."""

    texts: NDArray[np.object_]

    def take(self, rows: Rows) -> list[bytes]:
        """See Fragments."""
        taken: list[bytes] = self.texts.take(rows).tolist()
        return taken

    def restated(self, rows: Rows, texts: list[bytes]) -> "_Listed":
        """Return a copy with others in these rows."""
        restated = self.texts.copy()
        restated[rows] = texts
        return _Listed(restated)


class _RankingStart(msgspec.Struct):
    """A ranking up to its offers."""

    request_id: str
    customer_id: str
    event_time_ms: int
    release_id: str
    status: str
    eligible_count: int
    excluded: dict[str, int]
    features: dict[str, Any]


@dataclass(frozen=True, slots=True)
class OfferFeatures:
    """Which of the offers' features rankings carry; `names` None: all of them."""

    names: tuple[str, ...] | None = None

    def __call__(self, catalog: Catalog) -> Fragments:
        """Return each offer's features as a JSON object; use with `Catalog.once`."""
        if self.names is None and isinstance(catalog.fragments, PackedTexts):
            return catalog.fragments
        return _Listed(np.array(self._named(catalog.fragments), object))

    def followed(self, made: object, catalog: Catalog, rows: Rows) -> Fragments:
        """See FollowsChanges."""
        if not isinstance(made, _Listed):
            return self(catalog)
        return made.restated(rows, self._named([catalog.fragments[row] for row in rows.tolist()]))

    def _named(self, fragments: Sequence[bytes]) -> list[bytes]:
        if self.names is None:
            return list(fragments)
        return self.written(map(msgspec.json.decode, fragments))

    def written(self, features: Iterable[Mapping[str, Any]]) -> list[bytes]:
        """Return the features of some offers, each as a JSON object."""
        return [
            _encode({name: value for name, value in each.items() if self.names is None or name in self.names})
            for each in features
        ]


ALL_FEATURES = OfferFeatures()


def encode_rankings(
    requests: Sequence[CustomerRequest],
    ranked: Ranked,
    catalog: Catalog,
    offer_features: OfferFeatures,
    overlay: OfferOverlay | None = None,
) -> list[bytes]:
    """Return the JSON of each request's ranking; `overlay` has the offers of which the requests state features."""
    features = catalog.once(offer_features).take(ranked.rows)  # M of them
    if overlay is not None:
        requests_of = np.repeat(np.arange(len(requests)), np.diff(ranked.starts))
        places, written = overlay.places(requests_of, ranked.rows), offer_features.written(overlay.features)
        features = [
            text if place < 0 else written[place] for text, place in zip(features, places.tolist(), strict=True)
        ]
    parts = _offer_parts(ranked, catalog.once(_HEADS), features)
    ends = (_parts_of(ranked) * ranked.starts).tolist()
    values = []
    for start, first, last in zip(_request_parts(requests, ranked, catalog), ends[:-1], ends[1:], strict=True):
        if first == last:
            values.append(b'%b,"offers":[]}' % start[:-1])
        else:
            offers = parts[first:last]
            # A head closes the offer before it. The first offer has none before, so its head loses these two bytes.
            offers[0] = b'%b,"offers":[%b' % (start[:-1], offers[0][2:])
            offers.append(b"}]}")
            values.append(b"".join(offers))
    return values


def _request_parts(requests: Sequence[CustomerRequest], ranked: Ranked, catalog: Catalog) -> list[bytes]:
    release_id, took = catalog.release_id, ranked.taken_counts.sum(axis=1).tolist()
    starts = [
        _RankingStart(
            request.request_id,
            request.customer_id,
            request.event_time_ms,
            release_id,
            "ranked" if eligible else "nothing_eligible",
            eligible,
            ranked.excluded(number) if took[number] else _NOTHING,
            request.features,
        )
        for number, (request, eligible) in enumerate(zip(requests, ranked.eligible_counts.tolist(), strict=True))
    ]
    # All are encoded at once, a line each: the encoder escapes line breaks in texts, so that a line ends nowhere else.
    return _encode_lines(starts).split(b"\n")[:-1]


def _offer_parts(ranked: Ranked, heads: Fragments, features: list[bytes]) -> list[bytes]:
    """Return the parts of all offers of all requests, as many for each, in a single list."""
    rows = ranked.rows
    counts: list[int] = np.diff(ranked.starts).tolist()
    # A slice takes the same part of all offers at once, without a Python loop over them.
    stride = _parts_of(ranked)
    parts = [b',"propensity":1.0,"features":'] * (len(rows) * stride)
    parts[0::stride] = heads.take(rows)
    parts[1::stride] = chain.from_iterable(_RANKS[:count] for count in counts)
    parts[2::stride] = _numbers(ranked.scores)
    if ranked.propensities is not None:
        parts[3::stride] = [
            b',"propensity":%b,"features":' % propensity for propensity in _numbers(ranked.propensities)
        ]
    parts[4::stride] = features
    if ranked.tower_ranks is not None and ranked.reranker_scores is not None:
        added = zip(ranked.tower_ranks.tolist(), _numbers(ranked.reranker_scores), strict=True)
        parts[5::stride] = [b',"tower_rank":%d,"reranker_score":%b' % each for each in added]
    return parts


def _parts_of(ranked: Ranked) -> int:
    return _PARTS + (ranked.tower_ranks is not None)


def _numbers(values: Scores) -> list[bytes]:
    """Encode all numbers at once and cut at the commas, instead of calling the encoder for each."""
    return _encode(values.tolist())[1:-1].split(b",") if len(values) else []


@dataclass(frozen=True, slots=True, eq=False)
class _HeadsOf:
    """The heads of offers whose ids are packed, made when they are taken: a million heads are 80 MB of objects."""

    ids: PackedIds

    def take(self, rows: Rows) -> list[bytes]:
        """See Fragments."""
        return [_HEAD % offer_id for offer_id in _encode_lines(self.ids.take(rows)).split(b"\n")[:-1]]


class _Heads:
    """Makes how each offer begins; use with `Catalog.once`."""

    __slots__ = ()

    def __call__(self, catalog: Catalog) -> Fragments:
        if isinstance(catalog.offer_ids, PackedIds):
            return _HeadsOf(catalog.offer_ids)
        return _Listed(np.array([_HEAD % _encode(offer_id) for offer_id in catalog.offer_ids], object))

    def followed(self, made: object, catalog: Catalog, rows: Rows) -> object:
        """See FollowsChanges. The ids are as they were."""
        return made


_HEADS = _Heads()

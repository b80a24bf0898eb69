"""Encodes rankings as JSON by joining prepared fragments, with every field in the order of `messages.Ranking`.

No message is built, since that would cost more than the ranking itself. A test checks that what is written here reads
back as a `Ranking`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from stream_scorer.core.messages import LIMIT_MAX, CustomerRequest
from stream_scorer.core.ranking.best_offers import Ranked, Scores
from stream_scorer.core.releases.catalog import Catalog

_RANKS = [b'%d,"score":' % rank for rank in range(1, LIMIT_MAX + 1)]
_PARTS = 5  # of each offer: head, rank, score, propensity, features

_encode = msgspec.json.Encoder().encode


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

    def __call__(self, catalog: Catalog) -> list[bytes]:
        """Return each offer's features as a JSON object; use with `Catalog.once`."""
        if self.names is None:
            return catalog.fragments
        decode = msgspec.json.decode
        return [
            _encode({name: value for name, value in decode(text).items() if name in self.names})
            for text in catalog.fragments
        ]


ALL_FEATURES = OfferFeatures()


def encode_rankings(
    requests: Sequence[CustomerRequest], ranked: Ranked, catalog: Catalog, offer_features: OfferFeatures
) -> list[bytes]:
    """Return the JSON of each request's ranking."""
    parts = _offer_parts(ranked, catalog.once(_heads), catalog.once(offer_features))
    starts = ranked.starts.tolist()
    values = []
    for number, head in enumerate(_request_parts(requests, ranked, catalog)):
        first, last = starts[number], starts[number + 1]
        if first == last:
            values.append(b'%b,"offers":[]}' % head[:-1])
        else:
            # A head closes the offer before it. The first offer has none before, so its head loses these two bytes.
            offers = b"".join(parts[first * _PARTS : last * _PARTS])
            values.append(b"".join((head[:-1], b',"offers":[', offers[2:], b"}]}")))
    return values


def _request_parts(requests: Sequence[CustomerRequest], ranked: Ranked, catalog: Catalog) -> list[bytes]:
    heads = []
    took = ranked.taken_counts.sum(axis=1).tolist()
    for number, (request, eligible) in enumerate(zip(requests, ranked.eligible_counts.tolist(), strict=True)):
        status = "ranked" if eligible else "nothing_eligible"
        excluded = ranked.excluded(number) if took[number] else {}
        ids = (request.request_id, request.customer_id, request.event_time_ms, catalog.release_id)
        heads.append(_encode(_RankingStart(*ids, status, eligible, excluded, request.features)))
    return heads


def _offer_parts(ranked: Ranked, heads: list[bytes], features: list[bytes]) -> list[bytes]:
    """Return the parts of all offers of all requests, _PARTS for each, in a single list."""
    rows = ranked.rows.tolist()
    counts: list[int] = np.diff(ranked.starts).tolist()
    # A slice takes the same part of all offers at once, without a Python loop over them.
    parts = [b',"propensity":1.0,"features":'] * (len(rows) * _PARTS)
    parts[0::_PARTS] = map(heads.__getitem__, rows)
    parts[1::_PARTS] = chain.from_iterable(_RANKS[:count] for count in counts)
    parts[2::_PARTS] = _numbers(ranked.scores)
    if ranked.propensities is not None:
        parts[3::_PARTS] = [
            b',"propensity":%b,"features":' % propensity for propensity in _numbers(ranked.propensities)
        ]
    parts[4::_PARTS] = map(features.__getitem__, rows)
    return parts


def _numbers(values: Scores) -> list[bytes]:
    """Encode all numbers at once and cut at the commas, instead of calling the encoder for each."""
    return _encode(values.tolist())[1:-1].split(b",") if len(values) else []


def _heads(catalog: Catalog) -> list[bytes]:
    """Return how each offer begins. It also closes the offer before, so that no features are copied to add a brace."""
    return [b'},{"offer_id":%b,"rank":' % _encode(offer_id) for offer_id in catalog.offer_ids]

"""Rankings as the join keeps them while their labels may change: in a fifth of their bytes, and nothing of them lost.

Of a ranking as our ranker writes it only the scores and the customer's features are its own. The features of its offers
were on rankings before it, and are kept once; the rest follows from a rule. Whether it follows is tried on each: its
parts must encode to the bytes that were read. Any other ranking is kept whole, compressed.
"""

import struct
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any, NamedTuple

import lz4.block
import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType
from msgspec.structs import astuple

from stream_scorer.core.messages import LIMIT_MAX
from stream_scorer.core.wire.own_topics import (
    NESTS_DEEPLY,
    NO_RANKING,
    OFFER_TWICE,
    Id,
    LabelParts,
    TimeMs,
    may_nest_deeply,
    write_labelled,
)

ALIKE_MAX = 4_096
"""How many rankings share one list of offers: they let go of it together."""
OFFERS_BYTES_MAX = 16_000_000
"""How much a partition knows of offers whether or not a ranking shows them still."""
_OFFER_BYTES = 280  # what Python takes for one beside its features, measured
_RELEASES_MAX = 8
_SHARES_FROM = 4
_UNCERTAIN, _RERANKED = 1, 2  # flags of a kept ranking: it has propensities below 1, and what a re-ranker adds


class _OfferParts(msgspec.Struct, frozen=True, gc=False):
    offer_id: Id
    rank: Annotated[int, Meta(ge=1, le=LIMIT_MAX)]
    score: float
    propensity: Annotated[float, Meta(gt=0, le=1)]
    features: Raw


class _RerankedParts(_OfferParts, frozen=True, gc=False):
    tower_rank: Annotated[int, Meta(ge=1, le=LIMIT_MAX)] | UnsetType | None = UNSET
    reranker_score: float | UnsetType | None = UNSET


class RankingParts(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A ranking's fields in the order in which our ranker writes them; features stay bytes."""

    request_id: Id
    customer_id: Id
    event_time_ms: TimeMs
    release_id: Id
    status: Raw = Raw()  # labels need none of these three
    eligible_count: Raw = Raw()
    excluded: Raw = Raw()
    features: Raw
    offers: Annotated[list[_OfferParts], Meta(max_length=LIMIT_MAX)]


class _RerankedRankingParts(RankingParts, frozen=True, gc=False, kw_only=True):
    offers: Annotated[list[_RerankedParts], Meta(max_length=LIMIT_MAX)]  # type: ignore[assignment]


class _OfferAgain(msgspec.Struct, gc=False):
    offer_id: str
    rank: int
    score: float
    propensity: float
    features: Raw
    accepted: int | None
    cause: str | None
    label_time_ms: int | None


class _RerankedAgain(_OfferAgain, gc=False):
    tower_rank: int
    reranker_score: float


class _LabelledAgain(msgspec.Struct, gc=False):
    request_id: str
    revision: int
    final: bool
    customer_id: str
    request_time_ms: int
    release_id: str
    features: Raw
    offers: list[_OfferAgain]


class _KnownOffer(msgspec.Struct, frozen=True, gc=False, eq=False):
    """An offer as rankings show it, kept for as long as one of them does."""

    offer_id: str
    features: Raw


class Alike:
    """What many rankings of one release have in common: their offers, and the names of their customers' features."""

    __slots__ = ("count", "names", "numbers", "offers", "release_id")

    def __init__(self, release_id: str, names: bytes) -> None:
        self.release_id, self.names = release_id, names
        self.offers: list[_KnownOffer] = []
        self.numbers: dict[_KnownOffer, int] = {}  # emptied with the last ranking that is added
        self.count = 0

    def numbers_of(self, offers: Sequence[_KnownOffer]) -> list[int]:
        """Return the numbers of offers, which they get when they come for the first time."""
        try:
            return list(map(self.numbers.__getitem__, offers))
        except KeyError:
            for offer in offers:
                if self.numbers.setdefault(offer, len(self.offers)) == len(self.offers):
                    self.offers.append(offer)
            return [self.numbers[offer] for offer in offers]


class ReadRanking(NamedTuple):
    """A ranking's parts, and whether they encode to the bytes that were read.

    `known` are its offers, where all were on rankings before it with the same features.
    """

    parts: RankingParts
    exact: bool
    known: Sequence[_KnownOffer] | None


class Kept(NamedTuple):
    """What is kept of a ranking beside its ids and its time.

    `packed` is what it has for itself, and without `alike` the whole, compressed.
    """

    packed: bytes
    alike: Alike | None


_rankings = msgspec.json.Decoder(RankingParts)
_reranked_rankings = msgspec.json.Decoder(_RerankedRankingParts)
_encoder = msgspec.json.Encoder()
_names_of = msgspec.json.Decoder(dict[str, Raw])
_features_of = attrgetter("features")
_offer_id_of = attrgetter("offer_id")
_figures_of = attrgetter("rank", "score", "propensity")
_added_of = attrgetter("tower_rank", "reranker_score")
_RANKS = tuple(range(1, LIMIT_MAX + 1))


class RankingKeeper:
    """Reads and keeps the rankings of one partition."""

    def __init__(self) -> None:
        """Start with no offer known."""
        self._offers: OrderedDict[str, _KnownOffer] = OrderedDict()  # those shown last at the end
        self._offers_bytes = 0
        self._alike: dict[str, Alike] = {}
        self._usual: msgspec.json.Decoder[Any] = _rankings

    def read(self, value: bytes | None) -> ReadRanking | str:
        """Return the parts of a ranking, or the reason why it cannot be labelled, as `read_ranking_head` gives it."""
        if may_nest_deeply(value or b""):
            return NESTS_DEEPLY
        try:
            parts, exact = self._parts(value or b"")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return NO_RANKING
        ids = list(map(_offer_id_of, parts.offers))
        known = self._known(ids, parts.offers)
        # features of known offers were objects when these became known
        if not _are_objects([parts.features] if known is not None else [parts.features, *_all_features(parts.offers)]):
            return NO_RANKING
        if len(set(ids)) < len(ids):
            return OFFER_TWICE
        return ReadRanking(parts, exact, known)

    def _parts(self, value: bytes) -> tuple[RankingParts, bool]:
        """Return a ranking's parts, and whether they encode to these bytes.

        Rankings without a re-ranker are the most, and are read sooner where nothing of one is looked for. That nothing
        of one was passed over shows in the bytes.
        """
        parts = self._usual.decode(value)
        exact = _encoder.encode(parts) == value
        if not exact and self._usual is _rankings:
            parts = _reranked_rankings.decode(value)
            exact = _encoder.encode(parts) == value
        return parts, exact

    def _known(self, ids: Sequence[str], offers: Sequence[_OfferParts]) -> list[_KnownOffer] | None:
        try:
            known = list(map(self._offers.__getitem__, ids))
        except KeyError:
            return None
        if _all_features(known) != _all_features(offers):
            return None
        # those shown lately are let go of last: an offer that is learned anew is kept twice while requests are open
        for offer_id in ids:
            self._offers.move_to_end(offer_id)
        return known

    def keep(self, value: bytes, ranking: ReadRanking) -> Kept:
        """Return what must be kept of a ranking that `read` has read."""
        parts, exact, known = ranking
        count, new = len(parts.offers), 0
        if known is None:
            known, new = self._learn(parts.offers)
        ranks, scores, propensities = zip(*map(_figures_of, parts.offers), strict=True) if count else ((), (), ())
        added = _added(parts)
        self._usual = _reranked_rankings if added else _rankings
        # where many offers are new, the compressed whole is smaller than they are
        if not exact or added is None or new * _SHARES_FROM > count or ranks != _RANKS[:count]:
            return Kept(lz4.block.compress(value), None)
        alike = self._alike_of(parts)
        flags = _RERANKED if added else 0
        figures = scores
        if propensities.count(1.0) < count:
            flags |= _UNCERTAIN
            figures += propensities
        figures += added
        own = _own_struct(flags, count).pack(flags, *alike.numbers_of(known), *figures)
        return Kept(own + lz4.block.compress(parts.features, dict=alike.names), alike)

    def _learn(self, offers: Sequence[_OfferParts]) -> tuple[list[_KnownOffer], int]:
        """Know these offers, with these features, from now on; return them, and how many are new."""
        known: list[_KnownOffer] = []
        new = 0
        for offer in offers:
            before = self._offers.pop(offer.offer_id, None)
            if before is None or before.features != offer.features:
                new += 1
                self._offers_bytes += _bytes_of(offer) - (0 if before is None else _bytes_of(before))
                before = _KnownOffer(offer.offer_id, offer.features.copy())
            self._offers[before.offer_id] = before
            known.append(before)
        while self._offers_bytes > OFFERS_BYTES_MAX:
            self._offers_bytes -= _bytes_of(self._offers.popitem(last=False)[1])
        return known, new

    def _alike_of(self, parts: RankingParts) -> Alike:
        alike = self._alike.get(parts.release_id)
        if alike is None or alike.count >= ALIKE_MAX:
            if alike is not None:
                alike.numbers = {}
            elif len(self._alike) >= _RELEASES_MAX:
                for done in self._alike.values():
                    done.numbers = {}
                self._alike = {}
            alike = self._alike[parts.release_id] = Alike(parts.release_id, _names(parts.features))
        alike.count += 1
        return alike


def _added(parts: RankingParts) -> tuple[Any, ...] | None:
    """Return the re-ranker's scores, then the towers' ranks; None where some offers lack either and others do not."""
    if type(parts) is RankingParts or not parts.offers:
        return ()
    tower_ranks, reranker_scores = zip(*map(_added_of, parts.offers), strict=True)
    added = reranker_scores + tower_ranks
    if UNSET not in added and None not in added:
        return added
    return () if added.count(UNSET) == len(added) else None


@lru_cache(maxsize=1_024)
def _own_struct(flags: int, count: int) -> struct.Struct:
    """Return how the figures of a ranking of `count` offers are packed: flags, numbers of offers, then by column."""
    doubles = 1 + bool(flags & _UNCERTAIN) + bool(flags & _RERANKED)
    return struct.Struct(f"<B{count}I{doubles * count}d{count if flags & _RERANKED else 0}H")


def _bytes_of(offer: _OfferParts | _KnownOffer) -> int:
    return len(bytes(offer.features)) + _OFFER_BYTES


def _all_features(offers: Sequence[_OfferParts | _KnownOffer]) -> list[Raw]:
    return list(map(_features_of, offers))


def _are_objects(values: Sequence[Raw]) -> bool:
    return all(bytes(value)[:1] == b"{" for value in values)


def _names(features: Raw) -> bytes:
    """Return a text like the features but without a value: whose they are must not be kept for others' sake.

    Empty where a name is no UTF-8: features are read so closely here alone.
    """
    try:
        opened = {name: bytes(value)[:1] for name, value in _names_of.decode(features).items()}
    except UnicodeDecodeError:
        return b""
    return b",".join(
        _encoder.encode(name) + b":" + (start if start in b'"[' else b"") for name, start in opened.items()
    )


def offer_ids_of(kept: Kept, count: int) -> list[str]:
    """Return the ids of a ranking's `count` offers, in rank order."""
    packed, alike = kept
    if alike is None:
        return [offer.offer_id for offer in _rankings.decode(lz4.block.decompress(packed)).offers] if packed else []
    return [alike.offers[number].offer_id for number in struct.unpack_from(f"<{count}I", packed, 1)]


def write_kept(
    kept: Kept, ids: tuple[str, str, int], labels: Sequence[LabelParts], *, revision: int, final: bool
) -> tuple[bytes, str]:
    """Return what `write_labelled` returns, of a ranking that was kept; `ids` are its request, customer and time."""
    packed, alike = kept
    if alike is None:
        return write_labelled(lz4.block.decompress(packed), labels, revision=revision, final=final)
    count, flags = len(labels), packed[0]
    own = _own_struct(flags, count)
    _, *figures = own.unpack_from(packed)
    numbers, scores = figures[:count], figures[count : 2 * count]
    propensities = figures[2 * count : 3 * count] if flags & _UNCERTAIN else [1.0] * count
    features = Raw(lz4.block.decompress(packed[own.size :], dict=alike.names))
    ranked = zip(numbers, scores, propensities, labels, strict=True)
    offers = [
        _OfferAgain(offer.offer_id, rank, score, propensity, offer.features, *label)
        for rank, (number, score, propensity, label) in enumerate(ranked, 1)
        for offer in (alike.offers[number],)
    ]
    if flags & _RERANKED:
        added = zip(offers, figures[-count:], figures[-2 * count : -count], strict=True)
        offers = [
            _RerankedAgain(*astuple(offer), tower_rank, score)  # type: ignore[call-arg]
            for offer, tower_rank, score in added
        ]
    request_id, customer_id, time_ms = ids
    labelled = _LabelledAgain(request_id, revision, final, customer_id, time_ms, alike.release_id, features, offers)
    return _encoder.encode(labelled), alike.release_id

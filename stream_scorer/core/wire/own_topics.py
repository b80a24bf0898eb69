"""The bytes of the ring's own topics, read in part: what the join needs of a ranking, and of its own labels.

Whoever can write to these topics can write anything. So each reader here checks whatever a later step relies on, and
gives a reason instead of raising: a ranking whose head is read can be labelled.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from stream_scorer.core.messages import ID_CHARS_MAX, LIMIT_MAX, TIME_MS_MAX

LabelParts = tuple[int | None, str | None, int | None]
"""An offer's label: accepted, cause, label_time_ms."""

LABEL_BYTES_MAX = len(b',"accepted":null,"cause":"late_acceptance","label_time_ms":253402300799999')
LABELLED_HEAD_BYTES_MAX = 1_024  # revision and final, a key of 256 characters, and what Kafka puts around a record
_REVISION_MAX = 2**53  # integers up to it are exact in every JSON reader
_NESTING_MAX = 64  # far below where a parser gives up, which depends on how deep its caller is
_BRACKETS_SURELY_FLAT = 256
NESTS_DEEPLY = f"the value is nested more than {_NESTING_MAX} deep"
NO_RANKING = "the value is not a ranking"
OFFER_TWICE = "an offer stands twice in the ranking"
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))

Id = Annotated[str, Meta(min_length=1, max_length=ID_CHARS_MAX)]
TimeMs = Annotated[int, Meta(ge=0, le=TIME_MS_MAX)]
_Cause = Literal["accepted", "declined", "window_closed", "late_acceptance"]


class _Object(msgspec.Struct, frozen=True):
    """Any JSON object; nothing of it is kept."""


class _OfferHead(msgspec.Struct, frozen=True):
    offer_id: Id
    rank: Annotated[int, Meta(ge=1, le=LIMIT_MAX)]
    score: float
    propensity: Annotated[float, Meta(gt=0, le=1)]
    features: _Object
    tower_rank: Annotated[int, Meta(ge=1, le=LIMIT_MAX)] | None = None
    reranker_score: float | None = None


class RankingHead(msgspec.Struct, frozen=True):
    """What the join keeps of a ranking; the rest stays bytes."""

    request_id: Id
    customer_id: Id
    event_time_ms: TimeMs
    release_id: Id
    features: _Object
    offers: Annotated[list[_OfferHead], Meta(max_length=LIMIT_MAX)]


class _OfferFragments(msgspec.Struct):
    offer_id: str
    rank: msgspec.Raw
    score: msgspec.Raw
    propensity: msgspec.Raw
    features: msgspec.Raw
    tower_rank: msgspec.Raw | UnsetType = UNSET
    reranker_score: msgspec.Raw | UnsetType = UNSET


class _RawRanking(msgspec.Struct):
    request_id: str
    customer_id: str
    event_time_ms: int
    release_id: str
    features: msgspec.Raw
    offers: list[_OfferFragments]


class _RawLabelledOffer(msgspec.Struct):
    offer_id: str
    rank: msgspec.Raw
    score: msgspec.Raw
    propensity: msgspec.Raw
    features: msgspec.Raw
    accepted: int | None
    cause: str | None
    label_time_ms: int | None
    tower_rank: msgspec.Raw | UnsetType = UNSET  # what is unset is not written
    reranker_score: msgspec.Raw | UnsetType = UNSET


class _RawLabelled(msgspec.Struct):
    request_id: str
    revision: int
    final: bool
    customer_id: str
    request_time_ms: int
    release_id: str
    features: msgspec.Raw
    offers: list[_RawLabelledOffer]


class _LabelHead(msgspec.Struct, frozen=True):
    accepted: Literal[0, 1] | None
    cause: _Cause | None
    label_time_ms: TimeMs | None


class LabelledHead(msgspec.Struct, frozen=True):
    """What the join reads back of what it has emitted."""

    request_id: Id
    customer_id: Id
    request_time_ms: TimeMs
    revision: Annotated[int, Meta(ge=1, le=_REVISION_MAX)]
    final: bool
    offers: Annotated[list[_LabelHead], Meta(max_length=LIMIT_MAX)]


_ranking_heads = msgspec.json.Decoder(RankingHead)
_raw_rankings = msgspec.json.Decoder(_RawRanking)
_labelled_heads = msgspec.json.Decoder(LabelledHead)
_encoder = msgspec.json.Encoder()


def read_ranking_head(value: bytes | None) -> RankingHead | str:
    """Return the head of a ranking, or the reason why these bytes are none that can be labelled."""
    if may_nest_deeply(value or b""):
        return NESTS_DEEPLY
    try:
        head = _ranking_heads.decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return NO_RANKING
    return OFFER_TWICE if len({offer.offer_id for offer in head.offers}) < len(head.offers) else head


def read_labelled_head(value: bytes | None) -> LabelledHead | None:
    """Read back a label of our own; None for whatever else lies on the topic."""
    if may_nest_deeply(value or b""):
        return None
    try:
        return _labelled_heads.decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def labelled_bytes_max(ranking_bytes: int, offers: int) -> int:
    """Return how many bytes the labelled ranking of a ranking has at most, what Kafka puts around it included."""
    return ranking_bytes + offers * LABEL_BYTES_MAX + LABELLED_HEAD_BYTES_MAX


def write_labelled(ranking: bytes, labels: Sequence[LabelParts], *, revision: int, final: bool) -> tuple[bytes, str]:
    """Return a LabelledRanking, the ranking's own bytes with these labels in rank order, and the release that it names.

    Cannot fail for a ranking whose head `read_ranking_head` has read.
    """
    ranked = _raw_rankings.decode(ranking)
    offers = [_labelled(offer, label) for offer, label in zip(ranked.offers, labels, strict=True)]
    labelled = _RawLabelled(
        ranked.request_id,
        revision,
        final,
        ranked.customer_id,
        ranked.event_time_ms,
        ranked.release_id,
        ranked.features,
        offers,
    )
    return _encoder.encode(labelled), ranked.release_id


def _labelled(ranked: _OfferFragments, label: LabelParts) -> _RawLabelledOffer:
    return _RawLabelledOffer(
        ranked.offer_id,
        ranked.rank,
        ranked.score,
        ranked.propensity,
        ranked.features,
        *label,
        ranked.tower_rank,
        ranked.reranker_score,
    )


def may_nest_deeply(value: bytes) -> bool:
    """Return whether objects and lists are nested more than `_NESTING_MAX` deep, without parsing them.

    Few brackets cannot nest deeply. Of many, outside of strings, the innermost pairs are taken away layer by layer.
    """
    return value.count(b"{") + value.count(b"[") > _BRACKETS_SURELY_FLAT and _layers(value) > _NESTING_MAX


def _layers(value: bytes) -> int:
    brackets, layers = _STRINGS.sub(b"", value).translate(None, _NO_BRACKETS), 0
    while brackets and layers <= _NESTING_MAX:
        inner = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if inner == brackets:
            return layers  # brackets without partners: no JSON, which the parser refuses
        brackets, layers = inner, layers + 1
    return layers

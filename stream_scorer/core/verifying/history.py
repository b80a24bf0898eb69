"""What a checker remembers of each record of the ring: enough to judge it, small enough to be sorted on disk."""

from typing import Any, NamedTuple

import msgspec
import xxhash

from stream_scorer.core.records import Record
from stream_scorer.core.verifying.event_times import NO_TIME, PartitionTimes
from stream_scorer.core.verifying.replies import Claim, Question, Reply, features_digest
from stream_scorer.core.wire.own_topics import may_nest_deeply


class Fate(NamedTuple):
    """What became of a record on its way.

    settled: its reader has committed an offset behind it · dead: the code of the dead letter about it, None when there
    is none · aborted: its transaction was, so that only a careless reader sees it.
    """

    settled: bool
    dead: str | None
    aborted: bool


class Input(msgspec.Struct, frozen=True, array_like=True, tag="i"):
    """A request or an acceptance; `asked` None: it cannot be read."""

    partition: int
    offset: int
    timestamp_ms: int
    settled: bool
    dead: str | None
    asked: Question | Claim | None = None


class Output(msgspec.Struct, frozen=True, array_like=True, tag="o"):
    """What was made of an input; `given` is what must fit it."""

    partition: int
    offset: int
    aborted: bool
    given: Reply | Claim | None = None


class RankingRead(msgspec.Struct, frozen=True, array_like=True, tag="r"):
    """A ranking as the join reads it.

    `digest` covers what a label must copy; `reached_ms` bounds how far event time had come before it was read.
    """

    offset: int
    timestamp_ms: int
    settled: bool
    dead: str | None
    aborted: bool
    time_ms: int
    customer_id: str
    release_id: str
    offers: tuple[str, ...]
    digest: bytes
    reached_ms: int


class OutcomeRead(msgspec.Struct, frozen=True, array_like=True, tag="a"):
    """An outcome as the join reads it.

    `asked_ms` is when it says that its request was made, else its own time; `newest_ms` is the newest time of the
    outcomes before it.
    """

    offset: int
    timestamp_ms: int
    settled: bool
    dead: str | None
    aborted: bool
    customer_id: str
    offer_id: str
    accepted: bool
    time_ms: int
    asked_ms: int
    newest_ms: int


class LabelsRead(msgspec.Struct, frozen=True, array_like=True, tag="w"):
    """One revision of the labels of a request: (accepted, cause, label time) in rank order."""

    offset: int
    timestamp_ms: int
    settled: bool
    dead: str | None
    aborted: bool
    revision: int
    final: bool
    labels: tuple[tuple[int | None, str | None, int | None], ...]
    digest: bytes


class Rows(msgspec.Struct, frozen=True, array_like=True, tag="f"):
    """Rows of one revision of one request: how many, and the sum of their digests.

    `found`: in files; else they are due by the topic.
    """

    found: bool
    settled: bool
    count: int
    total: int


Seen = Input | Output | RankingRead | OutcomeRead | LabelsRead | Rows
pack = msgspec.msgpack.Encoder().encode
unpack = msgspec.msgpack.Decoder(Seen).decode


class _RequestHead(msgspec.Struct, frozen=True):
    request_id: str


class _AcceptanceKeys(msgspec.Struct, frozen=True):
    acceptance_id: str
    request_id: str
    customer_id: str
    offer_id: str
    accepted: bool
    event_time_ms: int
    request_time_ms: int | None = None


class _OfferKeys(msgspec.Struct, frozen=True, kw_only=True):
    offer_id: str
    rank: msgspec.Raw
    score: msgspec.Raw
    propensity: msgspec.Raw
    features: msgspec.Raw
    tower_rank: msgspec.Raw = msgspec.Raw()
    reranker_score: msgspec.Raw = msgspec.Raw()
    accepted: int | None = None
    cause: str | None = None
    label_time_ms: int | None = None


class _RankingKeys(msgspec.Struct, frozen=True):
    request_id: str
    customer_id: str
    event_time_ms: int
    release_id: str
    features: msgspec.Raw
    offers: list[_OfferKeys]


class _Labelled(msgspec.Struct, frozen=True):
    request_id: str
    revision: int
    final: bool
    customer_id: str
    request_time_ms: int
    release_id: str
    features: msgspec.Raw
    offers: list[_OfferKeys]


def _reader(kind: type[Any]) -> Any:
    decode = msgspec.json.Decoder(kind).decode

    def read(value: bytes | None) -> Any:
        if may_nest_deeply(value or b""):
            return None
        try:
            return decode(value or b"")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    return read


_request_of, _acceptance_of, _ranking_of, _labelled_of = map(
    _reader, (_RequestHead, _AcceptanceKeys, _RankingKeys, _Labelled)
)


def request_key(record: Record) -> str | None:
    """Return the request id of a request or a ranking; None when these bytes have none."""
    head = _request_of(record.value)
    return head and str(head.request_id)


def acceptance_key(record: Record) -> str | None:
    """Return what an acceptance and its outcome share; None when these bytes are neither."""
    head = _acceptance_of(record.value)
    return head and "\0".join(
        (head.acceptance_id, head.request_id, head.offer_id, str(head.accepted), str(head.event_time_ms))
    )


def claim(record: Record) -> Claim | None:
    """Return what an acceptance and its outcome share beside their key; None when these bytes are neither."""
    head = _acceptance_of(record.value)
    return head and Claim(head.customer_id, head.request_time_ms)


def reply(record: Record) -> Reply | None:
    """Return what a ranking answers its request; None for bytes that are no ranking."""
    head = _ranking_of(record.value)
    if head is None:
        return None
    in_order = all(bytes(offer.rank) == b"%d" % rank for rank, offer in enumerate(head.offers, 1))
    offers = tuple(offer.offer_id for offer in head.offers)
    return Reply(head.customer_id, head.event_time_ms, features_digest(bytes(head.features)), offers, in_order)


def ranked(record: Record, fate: Fate, times: PartitionTimes) -> tuple[str, RankingRead] | None:
    """Return the request of a ranking, id and customer, and what to remember; None for bytes that are no ranking."""
    head = _ranking_of(record.value)
    if head is None:
        return None
    offers = tuple(offer.offer_id for offer in head.offers)
    digest = _digest(head.customer_id, head.event_time_ms, head)
    at = (record.offset, record.timestamp_ms)
    reached_ms = NO_TIME if fate.aborted else times.ranking(head.event_time_ms, record.timestamp_ms)
    seen = RankingRead(
        *at,
        fate.settled,
        fate.dead,
        fate.aborted,
        head.event_time_ms,
        head.customer_id,
        head.release_id,
        offers,
        digest,
        reached_ms,
    )
    return f"{head.request_id}\0{head.customer_id}", seen


def answer(record: Record, fate: Fate, times: PartitionTimes) -> tuple[str, OutcomeRead] | None:
    """Return the request of an outcome, id and customer, and what to remember; None for bytes that are no outcome."""
    head = _acceptance_of(record.value)
    if head is None:
        return None
    asked_ms = head.event_time_ms if head.request_time_ms is None else head.request_time_ms
    at = (record.offset, record.timestamp_ms)
    newest_ms = NO_TIME if fate.aborted else times.outcome(head.event_time_ms, record.timestamp_ms)
    given = (head.customer_id, head.offer_id, head.accepted, head.event_time_ms, asked_ms)
    seen = OutcomeRead(*at, fate.settled, fate.dead, fate.aborted, *given, newest_ms)
    return f"{head.request_id}\0{head.customer_id}", seen


def labels_read(record: Record, fate: Fate) -> tuple[str, LabelsRead] | None:
    """Return the request of a labelled ranking, id and customer, and what to remember; None for bytes that are none."""
    head = _labelled_of(record.value)
    if head is None:
        return None
    labels = tuple((offer.accepted, offer.cause, offer.label_time_ms) for offer in head.offers)
    digest = _digest(head.customer_id, head.request_time_ms, head)
    seen = LabelsRead(record.offset, record.timestamp_ms, *fate, head.revision, head.final, labels, digest)
    return f"{head.request_id}\0{head.customer_id}", seen


def _digest(customer_id: str, time_ms: int, head: _RankingKeys | _Labelled) -> bytes:
    # of the bytes as they are: labels copy those of the ranking, so the smallest difference is a fault
    digest = xxhash.xxh3_128(f"{customer_id}\0{time_ms}\0{head.release_id}\0".encode())
    digest.update(bytes(head.features))
    for offer in head.offers:
        digest.update(offer.offer_id.encode())
        # what a re-ranker adds is empty where there was none, so that such records keep their digests
        for raw in (offer.rank, offer.score, offer.propensity, offer.features, offer.tower_rank, offer.reranker_score):
            digest.update(bytes(raw))
    return digest.digest()

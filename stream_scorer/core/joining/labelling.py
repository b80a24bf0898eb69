"""Labels of one request: what they should be, and the bytes on both sides of the join.

The label that an offer should have is a function of the answers about it and of the watermark, whatever their order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import msgspec


@dataclass(frozen=True, slots=True)
class Horizons:
    """How long things matter, all in milliseconds of event time.

    window: an unanswered offer is a negative after it · late: how much longer an acceptance still corrects its label ·
    disorder: how far event times may jump back within a partition · back: how far before its request an answer may claim to be ·
    tick: the grain of the watermark · skew: how far ahead of the broker's clock an event may claim to be · idle_slack: how long,
    by the broker's clock, a record of one topic may be written after one of another that came later.
    """

    window_ms: int
    late_ms: int
    disorder_ms: int
    back_ms: int
    tick_ms: int
    skew_ms: int
    idle_slack_ms: int

    @property
    def forget_ms(self) -> int:
        """Return how long after its time a request is forgotten."""
        return self.window_ms + self.late_ms + self.disorder_ms

    @property
    def keep_ms(self) -> int:
        """Return how long after its time an outcome is forgotten: never before the request that it may belong to."""
        return self.forget_ms + self.back_ms


class Label(NamedTuple):
    """What is known of one offer's label."""

    accepted: int | None
    cause: str | None
    time_ms: int | None


UNKNOWN = Label(None, None, None)


@lru_cache(maxsize=1_024)
def nothing_known(offers: int) -> tuple[Label, ...]:
    """Return the labels of a request nobody has answered, shared by all that have as many offers."""
    return (UNKNOWN,) * offers


class Answers(NamedTuple):
    """The earliest acceptance and the earliest decline of one offer."""

    accepted_ms: int | None = None
    declined_ms: int | None = None

    def with_answer(self, accepted: bool, time_ms: int) -> "Answers":
        """Add an answer: the earliest counts, so doubled and shuffled answers change nothing."""
        if accepted:
            return Answers(_earliest(self.accepted_ms, time_ms), self.declined_ms)
        return Answers(self.accepted_ms, _earliest(self.declined_ms, time_ms))


NO_ANSWERS = Answers()


def _earliest(known_ms: int | None, time_ms: int) -> int:
    return time_ms if known_ms is None else min(known_ms, time_ms)


def label_of(answers: Answers, closes_ms: int, *, closed: bool) -> Label:
    """Return the label that the answers and the closing of the window (at `closes_ms`) make."""
    if answers.accepted_ms is not None:
        return Label(1, "accepted" if answers.accepted_ms <= closes_ms else "late_acceptance", answers.accepted_ms)
    if answers.declined_ms is not None and answers.declined_ms <= closes_ms:
        return Label(0, "declined", answers.declined_ms)
    return Label(0, "window_closed", closes_ms) if closed else UNKNOWN


def answers_behind(label: Label) -> Answers:
    """Return the answers that make this label."""
    if label.accepted == 1:
        return Answers(accepted_ms=label.time_ms)
    return Answers(declined_ms=label.time_ms) if label.cause == "declined" else NO_ANSWERS


def labels_of(answers: Mapping[int, Answers], offers: int, closes_ms: int, *, closed: bool) -> tuple[Label, ...]:
    """Return the labels of all offers of a request, in rank order."""
    unanswered = label_of(NO_ANSWERS, closes_ms, closed=closed)
    labels = [unanswered] * offers
    for place, given in answers.items():
        labels[place] = label_of(given, closes_ms, closed=closed)
    return tuple(labels)


class _OfferHead(msgspec.Struct, frozen=True):
    offer_id: str


class RankingHead(msgspec.Struct, frozen=True):
    """What the join keeps of a ranking; the rest stays bytes."""

    request_id: str
    customer_id: str
    event_time_ms: int
    offers: list[_OfferHead]


class _RankedOffer(msgspec.Struct):
    offer_id: str
    rank: msgspec.Raw
    score: msgspec.Raw
    propensity: msgspec.Raw
    features: msgspec.Raw


class _Ranked(msgspec.Struct):
    request_id: str
    customer_id: str
    event_time_ms: int
    release_id: str
    features: msgspec.Raw
    offers: list[_RankedOffer]


class _LabelledOffer(msgspec.Struct):
    offer_id: str
    rank: msgspec.Raw
    score: msgspec.Raw
    propensity: msgspec.Raw
    features: msgspec.Raw
    accepted: int | None
    cause: str | None
    label_time_ms: int | None


class _Labelled(msgspec.Struct):
    request_id: str
    revision: int
    final: bool
    customer_id: str
    request_time_ms: int
    release_id: str
    features: msgspec.Raw
    offers: list[_LabelledOffer]


class _LabelHead(msgspec.Struct, frozen=True):
    accepted: int | None
    cause: str | None
    label_time_ms: int | None


class LabelledHead(msgspec.Struct, frozen=True):
    """What the join reads back of what it has emitted."""

    request_id: str
    request_time_ms: int
    revision: int
    final: bool
    offers: list[_LabelHead]

    def labels(self) -> tuple[Label, ...]:
        """Return the labels in rank order."""
        labels: list[Label] = []
        for offer in self.offers:
            label = Label(offer.accepted, offer.cause, offer.label_time_ms)
            # offers nobody answered for share one label: a million requests would hold ten million
            labels.append(labels[-1] if labels and labels[-1] == label else label)
        return tuple(labels)


_ranking_heads = msgspec.json.Decoder(RankingHead)
_rankings = msgspec.json.Decoder(_Ranked)
_labelled_heads = msgspec.json.Decoder(LabelledHead)
_encoder = msgspec.json.Encoder()


def read_ranking_head(value: bytes | None) -> RankingHead | str:
    """Return the head of a ranking, or the reason why these bytes are none."""
    try:
        return _ranking_heads.decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "the value is not a ranking"


def read_labelled_head(value: bytes) -> LabelledHead:
    """Read back a label of our own; anything else on the topic raises msgspec.MsgspecError."""
    return _labelled_heads.decode(value)


def write_labelled(ranking: bytes, labels: Sequence[Label], *, revision: int, final: bool) -> tuple[bytes, str]:
    """Return a LabelledRanking: the ranking's own bytes, copied, with these labels in rank order; and the release that it names."""
    ranked = _rankings.decode(ranking)
    offers = [
        _LabelledOffer(offer.offer_id, offer.rank, offer.score, offer.propensity, offer.features, *label)
        for offer, label in zip(ranked.offers, labels, strict=True)
    ]
    labelled = _Labelled(
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

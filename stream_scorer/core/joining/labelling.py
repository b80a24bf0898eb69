"""Labels of one request: what they should be.

The label that an offer should have is a function of the answers about it and of the watermark, whatever their order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from stream_scorer.core.wire.own_topics import LabelledHead


@dataclass(frozen=True)  # without slots, for what is cached below: each record of the join asks for it several times
class Horizons:
    """How long things matter, all in milliseconds of event time.

    window: an unanswered offer is a negative after it
    late: allowed lateness, how much longer an acceptance still corrects its label
    disorder: bounded out-of-orderness, event times jump back by less within a partition, over both topics
    back: how far before its request an answer may claim to be
    tick: the grain of the watermark
    skew: how far ahead of the broker's clock an event may claim to be
    idle_slack: how much later, by the broker's clock, a record may be written to one topic than a younger one to the
        other
    """

    window_ms: int
    late_ms: int
    disorder_ms: int
    back_ms: int
    tick_ms: int
    skew_ms: int
    idle_slack_ms: int

    @cached_property
    def usable_ms(self) -> int:
        """Return how long after its request an answer still counts."""
        return self.window_ms + self.late_ms

    @cached_property
    def complete_ms(self) -> int:
        """Return how long after the time of a request all of its answers that count have been read."""
        return self.usable_ms + self.disorder_ms

    @cached_property
    def settle_ms(self) -> int:
        """Return how long after the time of an answer its request has been read, if there is one.

        The request may be younger than the answer by `back`, and be read after records younger than itself by less than
        `disorder`.
        """
        return self.back_ms + self.disorder_ms

    @cached_property
    def forget_ms(self) -> int:
        """Return how long after its time a request takes answers: any that counts is settled no sooner."""
        return self.usable_ms + self.settle_ms

    @cached_property
    def remember_ms(self) -> int:
        """Return how long after its time a request is remembered, so that late answers to it get the right reason."""
        return self.forget_ms + self.settle_ms

    @cached_property
    def keep_ms(self) -> int:
        """Return how long after its time an outcome matters: never shorter than the request that it may belong to."""
        return self.forget_ms + self.back_ms


class Label(NamedTuple):
    """What is known of one offer's label."""

    accepted: int | None
    cause: str | None
    time_ms: int | None


UNKNOWN = Label(None, None, None)


@lru_cache(maxsize=1_024)
def nothing_known(offers: int) -> tuple[Label, ...]:
    """Return the labels of a request that nobody has answered; all with as many offers share them."""
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


def labels_read_back(head: LabelledHead) -> tuple[Label, ...]:
    """Return the labels that were emitted, in rank order."""
    labels: list[Label] = []
    for offer in head.offers:
        label = Label(offer.accepted, offer.cause, offer.label_time_ms)
        # unanswered offers share a label: the requests of a full state would else keep ten million of them
        labels.append(labels[-1] if labels and labels[-1] == label else label)
    return tuple(labels)

"""The right labels from all records at once, and a history of events whose times jump back by less than allowed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from stream_scorer.core.joining.labelling import Horizons

OFFERS = 3
OfferLabel = tuple[int | None, str | None, int | None]
"""accepted, cause, label_time_ms"""


@dataclass(frozen=True)
class Event:
    """A record of `topic` ("rankings" or "outcomes") about an event at `time_ms`, in the order of writing."""

    topic: str
    time_ms: int
    arrives_ms: int
    value: dict[str, Any]


def oracle(events: Sequence[Event], horizons: Horizons) -> tuple[dict[str, tuple[OfferLabel, ...]], int]:
    """Return the final labels of every request, and how many outcomes can never count.

    Written from the contract alone; it shares no rule with the join.
    """
    times = {event.value["request_id"]: event.time_ms for event in reversed(events) if event.topic == "rankings"}
    answers: dict[tuple[str, int], list[tuple[bool, int]]] = {}
    dead = 0
    for event in (event for event in events if event.topic == "outcomes"):
        request_id, place = event.value["request_id"], int(event.value["offer_id"][1:])
        after_ms = event.time_ms - times.get(request_id, -(10**15))
        if place >= OFFERS or not -horizons.back_ms <= after_ms <= horizons.window_ms + horizons.late_ms:
            dead += 1
        else:
            answers.setdefault((request_id, place), []).append((event.value["accepted"], event.time_ms))
    return {
        request_id: tuple(
            _final(answers.get((request_id, place), []), asked_ms + horizons.window_ms) for place in range(OFFERS)
        )
        for request_id, asked_ms in times.items()
    }, dead


def _final(answers: Sequence[tuple[bool, int]], closes_ms: int) -> OfferLabel:
    """Return the final label: the earliest acceptance wins, else the earliest decline within the window."""
    for accepted, time_ms in sorted(answers, key=lambda answer: (not answer[0], answer[1])):
        if accepted:
            return 1, ("late_acceptance" if time_ms > closes_ms else "accepted"), time_ms
        if time_ms <= closes_ms:
            return 0, "declined", time_ms
    return 0, "window_closed", closes_ms


def ranking(request_id: str, customer_id: str, time_ms: int) -> dict[str, Any]:
    offers = [
        {"offer_id": f"o{n}", "rank": n + 1, "score": 0.5, "propensity": 1.0, "features": {"price": 1.5}}
        for n in range(OFFERS)
    ]
    return {
        "request_id": request_id, "customer_id": customer_id, "event_time_ms": time_ms,
        "release_id": "r", "status": "ranked",
        "eligible_count": OFFERS, "excluded": {}, "features": {"age": 3.0}, "offers": offers,
    }  # fmt: skip


def outcome(
    number: str, request_id: str, customer_id: str, place: int, *, accepted: bool, time_ms: int, asked_ms: int
) -> dict[str, Any]:
    return {
        "acceptance_id": f"a-{number}", "request_id": request_id, "customer_id": customer_id, "offer_id": f"o{place}",
        "accepted": accepted, "event_time_ms": time_ms, "request_time_ms": asked_ms,
    }  # fmt: skip


def history(seed: int, requests: int, horizons: Horizons, *, start_ms: int, gap_ms: float) -> list[Event]:
    """Draw requests and answers: doubled, shuffled, early, late, unknown, and about offers that were not ranked."""
    rng = np.random.default_rng(seed)
    jitter_ms = horizons.disorder_ms  # excluded: event times jump back by less
    steps = rng.exponential(gap_ms, requests)
    steps[rng.random(requests) < 20 / requests] += horizons.window_ms  # jumps in time
    times = start_ms + np.cumsum(steps).astype(int)
    events: list[Event] = []
    for number, time_ms in enumerate(times.tolist()):
        events += _about(rng, number, time_ms, horizons, jitter_ms)
    return sorted(events, key=lambda event: event.arrives_ms)


def _about(rng: np.random.Generator, number: int, time_ms: int, horizons: Horizons, jitter_ms: int) -> Iterator[Event]:
    request_id, customer_id = f"q-{number}", f"c-{number % 4_999}"
    for _ in range(1 + int(rng.random() < 0.03)):
        yield Event(
            "rankings", time_ms, time_ms + int(rng.integers(0, jitter_ms)), ranking(request_id, customer_id, time_ms)
        )
    for answer in range(int(rng.choice(4, p=[0.6, 0.25, 0.1, 0.05]))):
        answered_ms = time_ms + int(
            rng.integers(-horizons.back_ms, horizons.window_ms + horizons.late_ms + horizons.disorder_ms)
        )
        value = outcome(
            f"{number}-{answer}", request_id if rng.random() > 0.02 else f"lost-{number}", customer_id,
            int(rng.choice(OFFERS + 1, p=[0.4, 0.3, 0.28, 0.02])),
            accepted=bool(rng.random() < 0.5), time_ms=answered_ms, asked_ms=time_ms,
        )  # fmt: skip
        for _ in range(1 + int(rng.random() < 0.1)):
            yield Event("outcomes", answered_ms, answered_ms + int(rng.integers(0, jitter_ms)), value)


def latest_labels(values: Sequence[bytes]) -> dict[str, tuple[OfferLabel, ...]]:
    """Return the labels of the highest revision of each request. Fails for a revision that is skipped or doubled."""
    revisions: dict[str, dict[int, tuple[OfferLabel, ...]]] = {}
    for raw in values:
        value = msgspec.json.decode(raw)
        known = revisions.setdefault(value["request_id"], {})
        assert value["revision"] not in known, f"revision {value['revision']} of {value['request_id']} is doubled"
        known[value["revision"]] = tuple(
            (one["accepted"], one["cause"], one["label_time_ms"]) for one in value["offers"]
        )
    for request_id, known in revisions.items():
        assert sorted(known) == list(range(1, len(known) + 1)), f"revisions of {request_id} are {sorted(known)}"
    return {request_id: known[len(known)] for request_id, known in revisions.items()}

"""The ranked requests that a join knows: open ones (at once), and those that were labelled lately (at the close)."""

import heapq
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from stream_scorer.core.joining.event_time import NO_TIME
from stream_scorer.core.joining.held_outcomes import Reach
from stream_scorer.core.joining.labelling import Answers, Horizons, Label
from stream_scorer.core.wire.kept_rankings import Alike, Kept, offer_ids_of
from stream_scorer.core.wire.letter_headers import Headers
from stream_scorer.core.wire.own_topics import RankingHead

_NONE_YET: Mapping[int, Answers] = MappingProxyType({})


@dataclass(slots=True, eq=False)
class OpenRequest:
    """A ranked request whose labels may still change; of one that is erased or past, only that it was there.

    `packed` and `alike` are the ranking, see Kept: many are kept, for long, and each is read once or twice.
    """

    request_id: str
    customer_id: str
    time_ms: int
    offset: int
    packed: bytes = b""
    alike: Alike | None = None
    offers: int = 0
    answers: Mapping[int, Answers] = field(default_factory=lambda: _NONE_YET)
    emitted: tuple[Label, ...] = ()
    """The labels that were emitted; none where its window closed and nobody had answered."""
    revision: int = 0
    final: bool = False
    erased: bool = False
    past: bool = False
    headers: Headers = ()
    """Those of its ranking that go on with its labels."""

    @property
    def kept(self) -> Kept:
        """Return what is kept of its ranking."""
        return Kept(self.packed, self.alike)

    def empty(self) -> None:
        """Forget all but whose it was and when."""
        self.packed, self.alike, self.offers, self.answers, self.emitted = b"", None, 0, _NONE_YET, ()
        self.headers = ()

    def answer(self, place: int, answers: Answers) -> None:
        """Take over what is known of an offer; most requests never get an answer, and share the map that has none."""
        self.answers = {**self.answers, place: answers}

    def place(self, offer_id: str) -> int | None:
        """Return the offer's place in the ranking, None when it was not ranked."""
        offers = offer_ids_of(self.kept, self.offers)
        return offers.index(offer_id) if offer_id in offers else None


class _Namesakes(dict[str, OpenRequest]):
    """Requests of one id by customer; an id that only one customer has, as most, is kept without this."""


class OpenRequests:
    """Requests by id and customer: an id that several customers' requests share is no reason to mix them up.

    A request takes answers until event time has passed its time + forget; then it is past, and remembered until time +
    remember.
    """

    def __init__(self, horizons: Horizons) -> None:
        """Start with none."""
        self._horizons = horizons
        self._by_id: dict[str, OpenRequest | _Namesakes] = {}
        self._past_count = self._count = 0
        # heaps of (time, offset, request)
        self._closing: list[tuple[int, int, OpenRequest]] = []
        self._forgetting: list[tuple[int, int, OpenRequest]] = []
        self._remembered: list[tuple[int, int, OpenRequest]] = []
        self._until_ms: dict[OpenRequest, int] = {}  # of those whose id was used again, for longer than their own time
        self._reach = Reach()

    def __len__(self) -> int:
        """Return how many are open."""
        return self._count - self._past_count

    def values(self) -> Iterator[OpenRequest]:
        """Yield those that are open."""
        return (request for known in self._by_id.values() for request in _all_of(known) if not request.past)

    def get(self, request_id: str, customer_id: str) -> OpenRequest | None:
        """Return a request, open or past."""
        known = self._by_id.get(request_id)
        if isinstance(known, _Namesakes):
            return known.get(customer_id)
        return known if known is not None and known.customer_id == customer_id else None

    def namesakes(self, request_id: str) -> Collection[OpenRequest]:
        """Return all requests of an id, whosever they are."""
        known = self._by_id.get(request_id)
        return [] if known is None else _all_of(known)

    def open(self, request: OpenRequest, *, closed: bool) -> None:
        """Add a request; the window of one that is `closed` need not be closed again."""
        due = self._add(request)
        if not closed:
            heapq.heappush(self._closing, due)
        heapq.heappush(self._forgetting, due)

    def remember(self, request: OpenRequest) -> None:
        """Add a request that takes no answers: it is past already."""
        request.past = True
        self._past_count += 1
        heapq.heappush(self._remembered, self._add(request))

    def remember_until(self, request: OpenRequest, time_ms: int) -> None:
        """Remember a request for as long as the later one that uses its id again, which is refused all that time."""
        # rounded up: an id that is used again and again would else note an offset each time
        grain_ms = max(1, self._horizons.settle_ms)
        until_ms = (time_ms // grain_ms + 1) * grain_ms
        if until_ms > self._until_ms.get(request, request.time_ms):
            self._until_ms[request] = until_ms
            self._reach.note(request.offset, until_ms)

    def close(self, closing_ms: int) -> Iterator[OpenRequest]:
        """Yield the requests whose windows have closed by that time, once each."""
        while self.is_closing(closing_ms):
            yield heapq.heappop(self._closing)[2]

    def is_closing(self, closing_ms: int) -> bool:
        """Return whether a window closes by that time."""
        return bool(self._closing) and closing_ms > self._closing[0][0] + self._horizons.window_ms

    def is_forgetting(self, watermark_ms: int) -> bool:
        """Return whether a request is past by that time."""
        return bool(self._forgetting) and watermark_ms > self._forgetting[0][0] + self._horizons.forget_ms

    def forget(self, watermark_ms: int) -> None:
        """Let requests be past, and drop those that were past for long."""
        while self.is_forgetting(watermark_ms):
            due = heapq.heappop(self._forgetting)
            due[2].empty()
            due[2].past = True
            self._past_count += 1
            heapq.heappush(self._remembered, due)
        while self._remembered and watermark_ms > self._remembered[0][0] + self._horizons.remember_ms:
            _, offset, request = heapq.heappop(self._remembered)
            until_ms = self._until_ms.get(request, request.time_ms)
            if watermark_ms > until_ms + self._horizons.remember_ms:
                self._drop(request)
            else:
                heapq.heappush(self._remembered, (until_ms, offset, request))
        self._reach.forget(watermark_ms - self._horizons.remember_ms)

    def reach(self, nothing_left: int) -> int:
        """Return the offset of the first ranking that matters, or `nothing_left`."""
        return self._reach.start(nothing_left)

    def _add(self, request: OpenRequest) -> tuple[int, int, OpenRequest]:
        known = self._by_id.get(request.request_id)
        if known is None:
            self._by_id[request.request_id] = request
        elif isinstance(known, _Namesakes):
            known[request.customer_id] = request
        else:
            self._by_id[request.request_id] = _Namesakes({each.customer_id: each for each in (known, request)})
        self._count += 1
        self._reach.note(request.offset, request.time_ms)
        return request.time_ms, request.offset, request

    def _drop(self, request: OpenRequest) -> None:
        self._until_ms.pop(request, None)
        known = self._by_id[request.request_id]
        if isinstance(known, _Namesakes) and len(known) > 1:
            del known[request.customer_id]
        else:
            del self._by_id[request.request_id]
        self._count -= 1
        self._past_count -= 1


def _all_of(known: OpenRequest | _Namesakes) -> Collection[OpenRequest]:
    return known.values() if isinstance(known, _Namesakes) else [known]


class LabelledRequests:
    """Requests that were labelled, for as long as they may be read again; `newest_ms` is R, their newest time."""

    def __init__(self, disorder_ms: int) -> None:
        """Start with none; request times jump back by less than `disorder_ms`."""
        self._disorder_ms = disorder_ms
        self.newest_ms = NO_TIME
        self._times: dict[str, dict[str, int]] = {}  # id -> customer -> request time
        self._in_order: deque[tuple[int, int, str, str]] = deque()  # offset, request time, id, customer

    @property
    def settled_ms(self) -> int:
        """Return the time before which no request comes any more."""
        return self.newest_ms - self._disorder_ms

    def have_passed(self, requested_ms: int) -> bool:
        """Return whether a request of that time can come no more."""
        return requested_ms < self.settled_ms

    def pass_by(self, requested_ms: int) -> None:
        """Let R go on until a request of that time can come no more."""
        self.newest_ms = requested_ms + self._disorder_ms + 1

    def note(self, offset: int, head: RankingHead) -> None:
        """Note a request that was labelled, in the order of offsets."""
        self.newest_ms = max(self.newest_ms, head.event_time_ms)
        self._times.setdefault(head.request_id, {})[head.customer_id] = head.event_time_ms
        self._in_order.append((offset, head.event_time_ms, head.request_id, head.customer_id))

    def time_of(self, request_id: str, customer_id: str) -> int | None:
        """Return the time of a request that was labelled lately, None when it is not known."""
        return self._times.get(request_id, {}).get(customer_id)

    def times_of(self, request_id: str) -> Collection[int]:
        """Return the times of all requests of an id, whosever they are."""
        return self._times.get(request_id, {}).values()

    def forget(self) -> None:
        """Drop the oldest, while no request of their times can come."""
        while self._in_order and self.have_passed(self._in_order[0][1]):
            _, _, request_id, customer_id = self._in_order.popleft()
            customers = self._times.get(request_id, {})
            customers.pop(customer_id, None)
            if not customers:
                self._times.pop(request_id, None)

    def start(self, cursor: int) -> int:
        """Return the offset from which a restore must read rankings again, at most the cursor's."""
        return min(cursor, self._in_order[0][0]) if self._in_order else cursor

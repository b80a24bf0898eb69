"""The ranked requests of a partition: those whose labels may still change, and for a while those of which only the time matters."""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import lz4.block

from stream_scorer.core.joining.held_outcomes import Reach
from stream_scorer.core.joining.labelling import Answers, Horizons, Label

_NONE_YET: Mapping[int, Answers] = MappingProxyType({})


@dataclass(slots=True, eq=False)
class OpenRequest:
    """A ranked request whose labels may still change.

    Of one that is erased or past no more is kept than that it was there.

    `packed` is the ranking, compressed: many are held, for long, and each is read once or twice.
    """

    request_id: str
    customer_id: str
    time_ms: int
    offset: int
    packed: bytes = b""
    offers: tuple[str, ...] = ()
    answers: Mapping[int, Answers] = field(default_factory=lambda: _NONE_YET)
    emitted: tuple[Label, ...] = ()
    revision: int = 0
    final: bool = False
    erased: bool = False
    past: bool = False

    @property
    def ranking(self) -> bytes:
        """Return the ranking as it was read."""
        ranking: bytes = lz4.block.decompress(self.packed) if self.packed else b""
        return ranking

    def empty(self) -> None:
        """Forget all but whose it was and when."""
        self.packed, self.offers, self.answers, self.emitted = b"", (), _NONE_YET, ()

    def answer(self, place: int, answers: Answers) -> None:
        """Take over what is known of an offer; most requests never get an answer, and share the map that has none."""
        self.answers = {**self.answers, place: answers}

    def place(self, offer_id: str) -> int | None:
        """Return the offer's place in the ranking, None when it was not ranked."""
        return self.offers.index(offer_id) if offer_id in self.offers else None


class _Namesakes(dict[str, OpenRequest]):
    """Requests of one id by customer; most ids are one customer's, which is kept without this."""


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

    def namesakes(self, request_id: str) -> list[OpenRequest]:
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
        """Remember a request for as long as one of that time, so that what has taken its id is refused whenever it is read."""
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


def _all_of(known: OpenRequest | _Namesakes) -> list[OpenRequest]:
    return list(known.values()) if isinstance(known, _Namesakes) else [known]

"""Outcomes that wait for their ranking, by request and in the order in which they are settled.

Both kinds of join keep them.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

Outcome = TypeVar("Outcome")
STALE_MAX = 1_000


class _Due(NamedTuple):
    time_ms: int
    offset: int
    request: str


class _Several(dict[int, Outcome]):
    """Outcomes of one request by offset; most requests have one at most, which is kept without this."""


class HeldOutcomes(Generic[Outcome]):
    """Outcomes by request, and in the order of the times at which they are settled when nothing takes them before.

    Every operation costs the same whether outcomes are about many requests or all about the same. `request` is any text
    that identifies a request.
    """

    def __init__(self, offset_of: Callable[[Outcome], int]) -> None:
        """Start with none; `offset_of` returns the offset by which an outcome is known."""
        self._offset_of = offset_of
        self._by_request: dict[str, Outcome | _Several[Outcome]] = {}
        self._count = 0
        # by time, and by offset; what was taken or dropped meanwhile is passed over when it comes to the front
        self._due: list[_Due] = []
        self._oldest: deque[_Due] = deque()

    def __len__(self) -> int:
        """Return how many wait."""
        return self._count

    def hold(self, request: str, outcome: Outcome, time_ms: int) -> None:
        """Let an outcome wait, to be settled at that time; outcomes come in the order of their offsets."""
        self.put_back(request, outcome)
        due = _Due(time_ms, self._offset_of(outcome), request)
        heapq.heappush(self._due, due)
        self._oldest.append(due)
        if len(self._oldest) > 2 * self._count + STALE_MAX:
            self._compact()

    def put_back(self, request: str, outcome: Outcome) -> None:
        """Let an outcome that was taken wait again, to be settled when it was to be."""
        known = self._by_request.get(request)
        if known is None:
            self._by_request[request] = outcome
        elif isinstance(known, _Several):
            known[self._offset_of(outcome)] = outcome
        else:
            both = (known, outcome)
            self._by_request[request] = _Several({self._offset_of(each): each for each in both})
        self._count += 1

    def take(self, request: str) -> list[Outcome]:
        """Return the outcomes of a request, in the order of their offsets; they wait no more."""
        known = self._by_request.pop(request, None)
        taken = self._all_of(known)
        self._count -= len(taken)
        return taken

    def next_ms(self) -> int | None:
        """Return when the next outcome is to be settled, None when none waits."""
        self._pass_over()
        return self._due[0].time_ms if self._due else None

    def next(self) -> Outcome | None:
        """Return the outcome that is to be settled next, None when none waits."""
        self._pass_over()
        return self._find(self._due[0]) if self._due else None

    def take_next(self) -> Outcome:
        """Return the outcome that is to be settled next; it waits no more. Raises IndexError when none waits."""
        self._pass_over()
        return self._remove(heapq.heappop(self._due))

    def take_oldest(self, count: int) -> list[Outcome]:
        """Return so many outcomes of the lowest offsets; they wait no more."""
        taken: list[Outcome] = []
        while self._oldest and len(taken) < count:
            due = self._oldest.popleft()
            if self._find(due) is not None:
                taken.append(self._remove(due))
        return taken

    def drop(self, unwanted: Callable[[Outcome], bool]) -> int:
        """Drop all that are unwanted, and return how many they were."""
        gone = [
            (request, self._offset_of(outcome))
            for request, known in self._by_request.items()
            for outcome in self._all_of(known)
            if unwanted(outcome)
        ]
        for request, offset in gone:
            self._remove(_Due(0, offset, request))
        return len(gone)

    def values(self) -> Iterator[Outcome]:
        """Yield all."""
        return (outcome for known in self._by_request.values() for outcome in self._all_of(known))

    def _all_of(self, known: Outcome | _Several[Outcome] | None) -> list[Outcome]:
        if known is None:
            return []
        return [known[offset] for offset in sorted(known)] if isinstance(known, _Several) else [known]

    def _find(self, due: _Due) -> Outcome | None:
        known = self._by_request.get(due.request)
        if known is None or isinstance(known, _Several):
            return None if known is None else known.get(due.offset)
        return known if self._offset_of(known) == due.offset else None

    def _remove(self, due: _Due) -> Outcome:
        known = self._by_request[due.request]
        if isinstance(known, _Several) and len(known) > 1:
            removed = known.pop(due.offset)
        else:
            removed = known[due.offset] if isinstance(known, _Several) else known
            del self._by_request[due.request]
        self._count -= 1
        return removed

    def _pass_over(self) -> None:
        while self._due and self._find(self._due[0]) is None:
            heapq.heappop(self._due)

    def _compact(self) -> None:
        self._oldest = deque(due for due in self._oldest if self._find(due) is not None)
        self._due = list(self._oldest)
        heapq.heapify(self._due)


class Reach:
    """Offsets of a partition, each with the time until which it matters; a restore begins at the first that does."""

    def __init__(self) -> None:
        self._in_order: deque[tuple[int, int]] = deque()
        self._again: list[tuple[int, int]] = []  # a heap of those that came out of order

    def note(self, offset: int, time_ms: int) -> None:
        """Note a record; in the order of offsets, but for a few."""
        if self._in_order and offset < self._in_order[-1][0]:
            heapq.heappush(self._again, (offset, time_ms))
        else:
            self._in_order.append((offset, time_ms))

    def forget(self, passed_ms: int) -> None:
        """Let go of the first offsets while their times are passed."""
        while self._in_order and passed_ms > self._in_order[0][1]:
            self._in_order.popleft()
        while self._again and passed_ms > self._again[0][1]:
            heapq.heappop(self._again)

    def start(self, nothing_left: int) -> int:
        """Return the first offset that matters, or `nothing_left`."""
        fronts: Iterable[int] = (offsets[0][0] for offsets in (self._in_order, self._again) if offsets)
        return min(fronts, default=nothing_left)

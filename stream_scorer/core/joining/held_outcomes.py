"""Outcomes that wait for their ranking, and how far back in a topic a restore must read. Both kinds of join keep them."""

import heapq
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

Outcome = TypeVar("Outcome")


class HeldOutcomes(Generic[Outcome]):
    """Outcomes by request, and in the order of the times at which they are settled when nothing takes them before."""

    def __init__(self, offset_of: Callable[[Outcome], int]) -> None:
        """Start with none; `offset_of` tells outcomes apart."""
        self._offset_of = offset_of
        self._by_request: dict[str, list[Outcome]] = {}
        # (time, offset, request id); what was taken or dropped meanwhile is passed over when its turn comes
        self._turns: list[tuple[int, int, str]] = []

    def __len__(self) -> int:
        """Return how many have not had their turn."""
        return len(self._turns)

    def hold(self, request_id: str, outcome: Outcome, time_ms: int) -> None:
        """Hold an outcome until its turn at that time."""
        self.put_back(request_id, outcome)
        heapq.heappush(self._turns, (time_ms, self._offset_of(outcome), request_id))

    def put_back(self, request_id: str, outcome: Outcome) -> None:
        """Hold one again that was taken; its turn stays."""
        self._by_request.setdefault(request_id, []).append(outcome)

    def take(self, request_id: str) -> list[Outcome]:
        """Let a request have its outcomes."""
        return self._by_request.pop(request_id, [])

    @property
    def turn_ms(self) -> int | None:
        """Return the time of the next turn, None when there is none."""
        return self._turns[0][0] if self._turns else None

    def next(self) -> Outcome | None:
        """Return the outcome whose turn is next, None when it was taken."""
        _, offset, request_id = self._turns[0]
        return next((one for one in self._by_request.get(request_id, ()) if self._offset_of(one) == offset), None)

    def end_turn(self) -> Outcome | None:
        """Let the next one go, and return it; None when it was taken."""
        outcome = self.next()
        _, _, request_id = heapq.heappop(self._turns)
        if outcome is not None:
            self._keep(request_id, [one for one in self._by_request[request_id] if one is not outcome])
        return outcome

    def drop(self, unwanted: Callable[[Outcome], bool]) -> int:
        """Let go of all that are unwanted, and return how many they were."""
        dropped = 0
        for request_id, outcomes in list(self._by_request.items()):
            left = [one for one in outcomes if not unwanted(one)]
            dropped += len(outcomes) - len(left)
            self._keep(request_id, left)
        return dropped

    def _keep(self, request_id: str, outcomes: list[Outcome]) -> None:
        if outcomes:
            self._by_request[request_id] = outcomes
        else:
            del self._by_request[request_id]

    def values(self) -> Iterable[Outcome]:
        """Yield all."""
        return (one for outcomes in self._by_request.values() for one in outcomes)


class Reach:
    """Offsets of a partition in their order, each with a time: the first whose time is not passed is where a restore begins."""

    def __init__(self) -> None:
        self._offsets: deque[tuple[int, int]] = deque()

    def note(self, offset: int, time_ms: int) -> None:
        """Note a record; in the order of offsets, but for a few."""
        if self._offsets and offset < self._offsets[-1][0]:
            insort(self._offsets, (offset, time_ms))
        else:
            self._offsets.append((offset, time_ms))

    def forget(self, passed_ms: int) -> None:
        """Let go of the first ones while their times are passed."""
        while self._offsets and passed_ms > self._offsets[0][1]:
            self._offsets.popleft()

    def start(self, nothing_left: int) -> int:
        """Return the first offset that matters, or `nothing_left`."""
        return self._offsets[0][0] if self._offsets else nothing_left

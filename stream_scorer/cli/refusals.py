"""Why requests of a file were refused: equal reasons are a line with a count."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stream_scorer.core.records import DeadLetter

REASONS_MAX = 20


class Refusals:
    """Counts by reason; a bounded number of reasons."""

    def __init__(self) -> None:
        """Begin with none."""
        self._counts: dict[tuple[str, str], int] = {}
        self._first: dict[tuple[str, str], int] = {}
        self._others = 0

    def add(self, letters: "Sequence[DeadLetter]") -> None:
        """Count some; a letter's record has the request's number for its offset."""
        for letter in letters:
            reason = (letter.code, letter.message)
            if reason not in self._counts and len(self._counts) == REASONS_MAX:
                self._others += 1
                continue
            self._first.setdefault(reason, letter.record.offset)
            self._counts[reason] = self._counts.get(reason, 0) + 1

    def sentences(self) -> Iterator[str]:
        """Yield a sentence for each reason."""
        for (code, message), count in self._counts.items():
            requests = "request was" if count == 1 else "requests were"
            first = self._first[code, message]
            yield f"{count:,} {requests} refused, the first is number {first:,}: {message} ({code})"
        if self._others:
            yield f"{self._others:,} were refused for other reasons; --dead-letters PATH writes each"

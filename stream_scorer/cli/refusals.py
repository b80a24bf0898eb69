"""Why requests of a file were refused: the first of each reason is shown, and those like it are counted."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stream_scorer.core.records import DeadLetter

REASONS_MAX = 20


class Refusals:
    """Counts refusals by reason; beyond REASONS_MAX reasons, only their number."""

    def __init__(self) -> None:
        """Start without any."""
        self._counts: dict[tuple[str, str], int] = {}
        self._others = 0

    def fresh(self, letters: "Sequence[DeadLetter]") -> "list[DeadLetter]":
        """Count dead letters, and return those that are the first of their reason."""
        return [letter for letter in letters if self._is_first((letter.code, letter.message))]

    def _is_first(self, reason: tuple[str, str]) -> bool:
        if reason not in self._counts and len(self._counts) == REASONS_MAX:
            self._others += 1
            return False
        self._counts[reason] = self._counts.get(reason, 0) + 1
        return self._counts[reason] == 1

    def sentences(self) -> Iterator[str]:
        """Yield a sentence for each reason that occurred more than once, and for those not listed."""
        for (code, message), count in self._counts.items():
            if count > 1:
                yield f"{count:,} requests were refused for the same reason: {message} ({code})"
        if self._others:
            yield f"{self._others:,} requests were refused for other reasons; --dead-letters PATH writes every one"

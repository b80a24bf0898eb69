"""Why requests of a file were refused: the first of each reason stands for those like it, and the rest are a count."""

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
        self._others = 0

    def fresh(self, letters: "Sequence[DeadLetter]") -> "list[DeadLetter]":
        """Count letters, and return those that are the first for their reason."""
        return [letter for letter in letters if self._is_first((letter.code, letter.message))]

    def _is_first(self, reason: tuple[str, str]) -> bool:
        if reason not in self._counts and len(self._counts) == REASONS_MAX:
            self._others += 1
            return False
        self._counts[reason] = self._counts.get(reason, 0) + 1
        return self._counts[reason] == 1

    def sentences(self) -> Iterator[str]:
        """Yield a sentence for each reason that came more than once."""
        for (code, message), count in self._counts.items():
            if count > 1:
                yield f"{count:,} requests were refused alike: {message} ({code})"
        if self._others:
            yield f"{self._others:,} were refused for other reasons; --dead-letters PATH writes each"

"""What the join adds to the figures of the labels' health, as it writes each word on a request."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from stream_scorer.core.joining.labelling import UNKNOWN, Label


@dataclass(slots=True)
class LabelTally:
    """Figures of the labels written lately; what is read again for a restore is not counted again.

    causes: labels by cause, one that is corrected under each · delays_ms: from request to acceptance, of offers that
    became accepted · closed, accepted: by release, the requests whose last word on the window is said, and those of
    them with an accepted offer.
    """

    causes: Counter[str] = field(default_factory=Counter)
    delays_ms: list[int] = field(default_factory=list)
    closed: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)

    def note(
        self,
        release_id: str,
        request_time_ms: int,
        before: Sequence[Label],
        after: Sequence[Label],
        *,
        was_final: bool,
        final: bool,
    ) -> None:
        """Count what one word on a request changes."""
        causes = self.causes
        for old, new in zip(before, after, strict=True):
            if new is old or (old is not UNKNOWN and new == old):
                continue
            accepted, cause, time_ms = new
            if cause is not None:
                causes[cause] += 1
            if accepted and not old.accepted and time_ms is not None:
                self.delays_ms.append(time_ms - request_time_ms)
        if final:
            self.closed[release_id] += not was_final
            self.accepted[release_id] += _any_accepted(after) and not (was_final and _any_accepted(before))

    def add(self, other: "LabelTally") -> None:
        """Take another one in."""
        self.causes.update(other.causes)
        self.delays_ms += other.delays_ms
        self.closed.update(other.closed)
        self.accepted.update(other.accepted)


def _any_accepted(labels: Sequence[Label]) -> bool:
    return 1 in [accepted for accepted, _, _ in labels]

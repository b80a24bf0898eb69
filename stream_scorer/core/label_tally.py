"""What the join adds to the figures of the labels' health, as it writes each word on a request."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from stream_scorer.core.labelling import Label


@dataclass(slots=True)
class LabelTally:
    """Figures of the labels written lately; what is read again for a restore is not counted again.

    causes: labels by cause, one that is corrected under each · delays_ms: from request to acceptance, of offers that became accepted ·
    closed, accepted: by release, the requests whose last word on the window is said, and those of them with an accepted offer.
    """

    causes: Counter[str] = field(default_factory=Counter)
    delays_ms: list[int] = field(default_factory=list)
    closed: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)

    def note(
        self, release_id: str, request_time_ms: int, before: Sequence[Label], after: Sequence[Label], *, was_final: bool, final: bool
    ) -> None:
        """Count what one word on a request changes."""
        for old, new in zip(before, after, strict=True):
            if new != old and new.cause is not None:
                self.causes[new.cause] += 1
                if new.accepted and not old.accepted and new.time_ms is not None:
                    self.delays_ms.append(new.time_ms - request_time_ms)
        if final:
            had = was_final and _any_accepted(before)
            self.closed[release_id] += not was_final
            self.accepted[release_id] += _any_accepted(after) and not had

    def add(self, other: "LabelTally") -> None:
        """Take another one in."""
        self.causes.update(other.causes)
        self.delays_ms += other.delays_ms
        self.closed.update(other.closed)
        self.accepted.update(other.accepted)


def _any_accepted(labels: Sequence[Label]) -> bool:
    return any(label.accepted for label in labels)

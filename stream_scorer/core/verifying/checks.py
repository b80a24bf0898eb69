"""Which checks were made over how much, what could not be checked and why, and the faults, counted."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from stream_scorer.core.verifying.judgements import Fault


@dataclass(frozen=True, slots=True)
class Check:
    """One check: over how many things it was made, and over how many it could not be, by reason."""

    name: str
    checked: int
    not_checked: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, checked: int, reasons: Mapping[str, int]) -> "Check":
        """Make a check; reasons that concern nothing are left out."""
        return cls(name, checked, {reason: count for reason, count in reasons.items() if count})


@dataclass(slots=True)
class FaultCounts:
    """Counts of faults by kind, and the first few of each."""

    examples_max: int
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def note(self, fault: Fault) -> None:
        """Take a fault in."""
        self.counts[fault.kind] += 1
        known = self.examples.setdefault(fault.kind, [])
        if len(known) < self.examples_max:
            known.append(fault.what)

    def add(self, faults: Iterable[Fault]) -> None:
        """Take many in."""
        for fault in faults:
            self.note(fault)

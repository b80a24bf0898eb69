"""Counts how far a batch states the features that a model reads: missing, unknown to the model, of another kind."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stream_scorer.core.features.spec import FeatureSpec, RowError, Side

UNKNOWN_NAMES_MAX = 32
BLIND_SHARE = 0.01  # a feature stated by a smaller share is not in the file: a few rows may be hand-made
CAUTION_SHARE = 0.05
WARNED_ROWS_MIN = 10  # in fewer rows, a missing feature may be peculiar to those rows
_NAMED_MAX = 5


@dataclass(frozen=True, slots=True)
class FeatureCoverage:
    """Counts over the rows of a side, by the name of the feature.

    A null counts as missing. A value of another kind than the model reads is not missing, but cannot be read either.

    `read` are the features that the tower reads, without the id. `unknown` counts the most frequent of those that it
    does not read: whoever writes requests chooses their names, so their number must be bounded. `unknown_values` counts
    the values of all of them.
    """

    side: Side
    read: tuple[str, ...]
    rows: int = 0
    missing: Mapping[str, int] = field(default_factory=dict)
    other_kind: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, int] = field(default_factory=dict)
    unknown_values: int = 0

    def present(self, name: str) -> int:
        """Return how many rows state a value of this feature that can be read."""
        return self.rows - self.missing.get(name, 0) - self.other_kind.get(name, 0)

    def plus(self, other: "FeatureCoverage") -> "FeatureCoverage":
        """Add the counts of more rows, read by the same tower."""
        return FeatureCoverage(
            self.side,
            self.read,
            self.rows + other.rows,
            dict(Counter(self.missing) + Counter(other.missing)),
            dict(Counter(self.other_kind) + Counter(other.other_kind)),
            dict((Counter(self.unknown) + Counter(other.unknown)).most_common(UNKNOWN_NAMES_MAX)),
            self.unknown_values + other.unknown_values,
        )

    def mostly_missing(self) -> list[str]:
        """Return the features that more than half of the rows lack."""
        return [name for name in self.read if self.rows < 2 * self.missing.get(name, 0)]


def coverage_of(
    spec: FeatureSpec, features: Sequence[Mapping[str, Any]], errors: Sequence[RowError] = ()
) -> FeatureCoverage:
    """Count over a batch that `spec` has encoded with these errors; only the rows that have errors are encoded again.

    Rows with the same names in the same order are counted at once: a producer writes all of its rows alike, so that a
    batch costs about a microsecond a row at most.
    """
    stated: Counter[str] = Counter()
    for names, count in Counter(map(tuple, features)).items():
        for name in names:
            stated[name] += count
    for row in features:
        if None in row.values():
            stated.subtract(name for name, value in row.items() if value is None)
    read = spec.feature_names
    unknown = Counter({name: count for name, count in stated.items() if count and name not in set(read)})
    return FeatureCoverage(
        spec.side,
        read,
        len(features),
        {name: count for name in read if (count := len(features) - stated[name])},
        spec.misfits([features[error.index] for error in errors]) if errors else {},
        dict(unknown.most_common(UNKNOWN_NAMES_MAX)),
        unknown.total(),
    )


def reason_blind(coverage: FeatureCoverage) -> str | None:
    """Return a sentence where a tower would read nothing of these rows but ids.

    None where it reads a feature, where it reads nothing but ids in any case, and where there are no rows.
    """
    if not coverage.rows or not coverage.read:
        return None
    if any(coverage.present(name) >= max(1, BLIND_SHARE * coverage.rows) for name in coverage.read):
        return None
    count = len(coverage.read)
    stated = f"; the file has {_listed(list(coverage.unknown))}" if coverage.unknown else ""
    return f"0 of {count} features that the model reads are in the file ({_listed(coverage.read)}){stated}"


def cautions_of(coverage: FeatureCoverage) -> list[str]:
    """Return sentences on features that many rows lack, that are of another kind, or that the model does not read."""
    rows, side = coverage.rows, coverage.side
    lacking = [
        f"{name!r} ({count / rows:.0%})" for name, count in _ordered(coverage.missing) if count > CAUTION_SHARE * rows
    ]
    kinds = [f"{name!r} ({count:,})" for name, count in _ordered(coverage.other_kind)]
    unknown = [repr(name) for name, _ in _ordered(coverage.unknown)]
    found = [
        (
            lacking,
            (
                f"{len(lacking)} of {len(coverage.read)} {side} features that the model reads are missing, of "
                f"{rows:,} rows"
            ),
        ),
        (kinds, f"{side} features of another kind than the model reads"),
        (unknown, f"{side} features that the model does not read"),
    ]
    return [f"{sentence}: {_listed(names)}" for names, sentence in found if names]


def _ordered(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
    return ", ".join(names[:_NAMED_MAX]) + more

"""Derives a FeatureSpec from data: kinds from values, vocabularies from counts, scales from moments."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stream_scorer.core.features.diagnosis import NO_EVIDENCE, Decided, Evidence, ReadAs, decide
from stream_scorer.core.features.feature_column import FeatureColumn
from stream_scorer.core.features.spec import Bag, Category, FeatureSpec, Input, Number, Side, Vector
from stream_scorer.core.features.stated_inputs import StatedInput, stated
from stream_scorer.errors import UsageError

_CLIP = 8.0
_SKEW_FOR_LOG = 2.0
_PIECES = 8  # of the piecewise linear curve that a number's effect may take


@dataclass(frozen=True, slots=True)
class SpecOptions:
    """Which inputs a spec has, and how large they may be.

    `id_feature` makes the id an input. A value in fewer than `count_min` rows (`id_count_min` for ids) counts as
    unseen, so that the hashed buckets learn from it; but where the id is the only input, all ids are kept.
    `buckets_max` bounds the hashed rows of an input.
    """

    id_feature: bool = True
    count_min: int = 2
    id_count_min: int = 5
    vocabulary_max: int = 1_000_000
    buckets_max: int = 256
    hashes: int = 2


class FeatureStats:
    """Counts and moments of a side's features, which grow batch by batch."""

    def __init__(self, side: Side) -> None:
        self.side: Side = side
        self.rows = 0
        self._columns: dict[str, FeatureColumn] = {}
        self._ids: Counter[str | bool] = Counter()

    def add(
        self, features: Sequence[Mapping[str, Any]], ids: Sequence[str], weights: Sequence[int] | None = None
    ) -> None:
        """Count a batch; `weights` says how many rows each of its entries stands for, None: a single row each."""
        counts = [1] * len(ids) if weights is None else weights
        self.rows += len(ids)
        for one, weight in zip(ids, counts, strict=True):
            self._ids[one] += weight
        names = {name for row in features for name in row}
        for name in sorted(names):
            self._columns.setdefault(name, FeatureColumn()).add([row.get(name) for row in features], counts)

    @property
    def has_features(self) -> bool:
        """Whether any feature was seen."""
        return bool(self._columns)

    @property
    def distinct_ids(self) -> int:
        """How many customers or offers were seen."""
        return len(self._ids)

    def decided(
        self, asked: Mapping[str, ReadAs] | None = None, evidence: Mapping[str, Evidence] | None = None
    ) -> dict[str, Decided]:
        """Decide how each feature is read, from what the user asks (by side and name) and what labels say of it.

        Raises UsageError when a feature mixes kinds, when `asked` names a feature that does not exist, and when a
        feature's values cannot be read as asked.
        """
        asked, evidence = asked or {}, evidence or {}
        if unknown := sorted(
            name for name in asked if name.startswith(f"{self.side}.") and name.partition(".")[2] not in self._columns
        ):
            raise UsageError(
                f"--read {unknown[0]}: there is no such feature of {self.side}s, only {sorted(self._columns)[:20]}"
            )
        decided = {}
        for name, column in sorted(self._columns.items()):
            place = f"{self.side}.{name}"
            if asked.get(place) != "off":
                self._check_kinds(name, column)
            decided[name] = decide(column.facts(place, self.rows), asked.get(place), evidence.get(name, NO_EVIDENCE))
        return decided

    def spec(self, options: SpecOptions, decided: Mapping[str, Decided] | None = None) -> FeatureSpec:
        """Return the spec, without features that never vary.

        Raises UsageError when a feature mixes kinds, when its vectors differ in length, and when no input is left.
        """
        decided = self.decided() if decided is None else decided
        found = (self._input(name, column, decided[name], options) for name, column in sorted(self._columns.items()))
        inputs: list[Input] = [one for one in found if one is not None]
        count_min = options.id_count_min if inputs else 1
        if options.id_feature and (vocabulary := _vocabulary(self._ids, count_min, options)):
            buckets = _buckets(len(self._ids), options)
            inputs.insert(0, Category(f"{self.side}_id", vocabulary, buckets, options.hashes, from_id=True))
        if not inputs:
            raise UsageError(
                f"the {self.side}s have no feature that varies; add features, or use the {self.side} id as one"
            )
        return FeatureSpec(side=self.side, inputs=tuple(inputs))

    def column_lines(self) -> list[str]:
        """Describe each feature as it stands in the data, by name."""
        return [column.facts(f"{self.side}.{name}", self.rows).line() for name, column in sorted(self._columns.items())]

    def stated(self, spec: FeatureSpec) -> tuple[StatedInput, ...]:
        """Describe the inputs of a spec that was derived from these counts."""
        return tuple(self._stated(one) for one in spec.inputs)

    def _stated(self, one: Input) -> StatedInput:
        if isinstance(one, Category) and one.from_id:
            return stated(one, one.name, missing=0.0, distinct=len(self._ids))
        column = self._columns[one.name]
        facts = column.facts(one.name, self.rows)
        odd = sum(column.odd[value] for value in one.sentinels) if isinstance(one, Number) else 0
        missing = (facts.missing + odd) / max(self.rows, 1)
        return stated(one, f"{self.side}.{one.name}", missing=missing, distinct=facts.distinct)

    def _check_kinds(self, name: str, column: FeatureColumn) -> None:
        kinds = set(column.kinds) - {"null"}
        if any(kind.startswith("list of") for kind in kinds):  # an empty list may belong to a list of any kind
            kinds.discard("empty list")
        if len(kinds) > 1 or kinds & {"other", "list of mixed kinds", "list of others", "list of bools"}:
            said = ", ".join(f"{kind} ({count})" for kind, count in sorted(column.kinds.items()))
            raise UsageError(f"feature {name!r} of {self.side}s must be of one kind that features have, got {said}")

    def _input(self, name: str, column: FeatureColumn, decided: Decided, options: SpecOptions) -> Input | None:
        missing = sum(column.kinds.values()) < self.rows or column.kinds["null"] > 0 or column.kinds["empty list"] > 0
        match decided.kind:
            case "number":
                read = column if decided.reading == "plain" else column.parsed(decided.reading)
                read.settle(decided.sentinels)
                missing = missing or bool(decided.sentinels) or read.kinds["null"] > 0
                made = _number(name, read, missing=missing)
                return made and replace(made, reading=decided.reading, sentinels=decided.sentinels)
            case "codes":
                return _codes(name, column, options)
            case "string" | "bool":
                return _category(name, column, options, missing=missing)
            case "list of strings":
                vocabulary = _vocabulary(column.values, options.count_min, options)
                return Bag(name, tuple(map(str, vocabulary)), _buckets(len(column.values), options), options.hashes)
            case "list of numbers":
                return self._vector(name, column, missing=missing)
        return None

    def _vector(self, name: str, column: FeatureColumn, *, missing: bool) -> Vector:
        if len(column.lengths) > 1 or column.vectors is None:
            raise UsageError(
                f"feature {name!r} of {self.side}s must be a vector of one length, got {sorted(column.lengths)[:5]}"
            )
        means, scales = column.vectors.mean, column.vectors.scale
        return Vector(name, tuple(means.tolist()), tuple(scales.tolist()), indicator=missing, clip=_CLIP)


def _number(name: str, column: FeatureColumn, *, missing: bool) -> Number | None:
    raw, logs = column.numbers, column.logs
    if raw is None or logs is None or (raw.low == raw.high and not missing):
        return None
    knots = column.sample.knots(_PIECES)
    # Moments, which outliers distort, serve only where the quartiles coincide.
    if (found := column.sample.scaling()) is not None:
        return Number(name, found.middle, found.scale, indicator=missing, log=found.log, clip=_CLIP, knots=knots)
    log = bool(raw.low >= 0 and raw.skew > _SKEW_FOR_LOG)
    chosen = logs if log else raw
    return Number(name, float(chosen.mean), float(chosen.scale), indicator=missing, log=log, clip=_CLIP, knots=knots)


def _codes(name: str, column: FeatureColumn, options: SpecOptions) -> Category:
    counts: Counter[str | bool] = Counter({str(int(value)): count for value, count in (column.distinct or {}).items()})
    vocabulary = _vocabulary(counts, options.count_min, options)
    return Category(name, vocabulary, _buckets(len(counts), options), options.hashes, whole=True)


def _category(name: str, column: FeatureColumn, options: SpecOptions, *, missing: bool) -> Category | None:
    if len(column.values) < 2 and not missing:
        return None
    if "bool" in column.kinds:
        return Category(name, (False, True))
    return Category(
        name,
        _vocabulary(column.values, options.count_min, options),
        _buckets(len(column.values), options),
        options.hashes,
    )


def _vocabulary(counts: Counter[str | bool], count_min: int, options: SpecOptions) -> tuple[str | bool, ...]:
    """Return the most frequent values first, ties by value, up to `vocabulary_max`."""
    kept = sorted((-count, value) for value, count in counts.items() if count >= count_min)
    return tuple(value for _, value in kept[: options.vocabulary_max])


def _buckets(distinct: int, options: SpecOptions) -> int:
    """Return a power of two near a quarter of the distinct values, so that several unseen values train each row."""
    return int(min(options.buckets_max, max(4, 2 ** round(np.log2(max(distinct, 1) / 4)))))

"""Derives a FeatureSpec from data: kinds from values, vocabularies from counts, scales from moments."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from stream_scorer.core.features.diagnosis import NO_EVIDENCE, SENTINELS, ColumnFacts, Decided, Evidence, ReadAs, decide
from stream_scorer.core.features.number_sample import NumberSample
from stream_scorer.core.features.spec import Bag, Category, FeatureSpec, Floats, Input, Number, Side, Vector
from stream_scorer.core.features.stated_inputs import StatedInput, stated
from stream_scorer.core.features.text_numbers import PARSERS, Reading
from stream_scorer.errors import UsageError

_KIND = {float: "number", int: "number", str: "string", bool: "bool"}
_CLIP = 8.0
_SKEW_FOR_LOG = 2.0
_PIECES = 8  # of the piecewise linear curve that a number's effect may take
_DISTINCT_MAX = 4_096  # distinct numbers; a feature with more of them is not made of codes
_PARSED_ROWS_MAX = 100_000  # of texts read as numbers: enough for their moments


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


class _Moments:
    """Running moments of numbers, shifted by the first value so that far-off means keep their digits."""

    def __init__(self, shift: Floats) -> None:
        self.shift = shift
        self.count = 0
        self.sums = np.zeros((3, *shift.shape))
        self.low = np.full(shift.shape, np.inf)
        self.high = np.full(shift.shape, -np.inf)

    def add(self, values: Floats) -> None:
        off = values - self.shift
        self.count += len(values)
        self.sums += np.stack([off.sum(axis=0), (off**2).sum(axis=0), (off**3).sum(axis=0)])
        self.low = np.minimum(self.low, values.min(axis=0))
        self.high = np.maximum(self.high, values.max(axis=0))

    @property
    def mean(self) -> Floats:
        return np.asarray(self.shift + self.sums[0] / self.count)

    @property
    def deviation(self) -> Floats:
        first, second = self.sums[0] / self.count, self.sums[1] / self.count
        return np.asarray(np.sqrt(np.maximum(second - first**2, 0.0)))

    @property
    def skew(self) -> float:
        first, second, third = self.sums / self.count
        variance = second - first**2
        if variance <= 0:
            return 0.0
        return float((third - 3 * first * second + 2 * first**3) / variance**1.5)

    @property
    def scale(self) -> Floats:
        deviation = self.deviation
        # A deviation that is mere rounding beside the mean counts as none, and the scale is 0.
        return np.where(
            deviation > 1e-12 * np.maximum(np.abs(self.mean), 1e-30), 1.0 / np.maximum(deviation, 1e-300), 0.0
        )


class _FeatureColumn:
    """What is known of one feature."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.values: Counter[str | bool] = Counter()
        self.lengths: set[int] = set()
        self.numbers: _Moments | None = None
        self.vectors: _Moments | None = None
        self.logs: _Moments | None = None
        self.sample = NumberSample()
        self.distinct: Counter[float] | None = Counter()
        self.odd: Counter[float] = Counter()  # possible sentinels: `settle` adds those that are none to the moments

    def add(self, values: Sequence[object], weights: Sequence[int]) -> None:
        if (one := _kind_of_all(values)) is not None:
            self.kinds[one] += len(values)
            self._add(one, list(values), list(weights))
            return
        kinds = list(map(_kind, values))
        self.kinds.update(kinds)
        by_kind: dict[str, list[int]] = {}
        for index, kind in enumerate(kinds):
            by_kind.setdefault(kind, []).append(index)
        for kind, indices in by_kind.items():
            self._add(kind, [values[index] for index in indices], [weights[index] for index in indices])

    def _add(self, kind: str, values: list[Any], weights: list[int]) -> None:
        if kind == "number":
            self._add_numbers(np.array(values, dtype=np.float64))
        elif kind in ("string", "bool"):
            for value, weight in zip(values, weights, strict=True):
                self.values[value] += weight
        elif kind == "list of strings":
            for bag, weight in zip(values, weights, strict=True):
                for element in bag:
                    self.values[element] += weight
        elif kind == "list of numbers":
            self.lengths.update(map(len, values))
            if len(self.lengths) == 1:
                self.vectors = _added(self.vectors, np.array(values, dtype=np.float64))

    def _add_numbers(self, values: Floats) -> None:
        if self.distinct is not None:
            self.distinct.update(_counted(values))
            self.distinct = self.distinct if len(self.distinct) <= _DISTINCT_MAX else None
        odd = np.isin(values, SENTINELS)
        if odd.any():
            self.odd.update(_counted(values[odd]))
            values = values[~odd]
        if len(values):
            self.add_usual(values)

    def add_usual(self, values: Floats) -> None:
        """Add numbers to the moments and to the sample."""
        self.sample.add(values)
        self.numbers = _added(self.numbers, values)
        self.logs = _added(self.logs, np.sign(values) * np.log1p(np.abs(values)))

    def facts(self, name: str, rows: int) -> ColumnFacts:
        """Return what decides how the feature is read."""
        kinds = set(self.kinds) - {"null", "empty list"}
        stated = sum(self.kinds.values()) - self.kinds["null"] - self.kinds["empty list"]
        low, high = (0.0, 0.0) if self.numbers is None else (float(self.numbers.low), float(self.numbers.high))
        return ColumnFacts(
            name,
            next(iter(kinds), "null"),
            rows,
            rows - stated,
            {value: count for value, count in self.values.items() if isinstance(value, str)} or self.values,  # type: ignore[arg-type]
            self.distinct,
            self.odd,
            low,
            high,
        )

    def parsed(self, reading: Reading) -> "_FeatureColumn":
        """Return the column of the numbers that the texts mean, each as often as its text, up to a bound."""
        made, share = _FeatureColumn(), min(1.0, _PARSED_ROWS_MAX / max(sum(self.values.values()), 1))
        numbers = np.array([PARSERS[reading](str(text)) for text in self.values], np.float64)
        counts = np.ceil(share * np.array(list(self.values.values()), np.float64)).astype(np.int64)
        known = ~np.isnan(numbers)
        made.kinds = Counter({"number": self.kinds["string"], "null": self.kinds["null"] + int((~known).sum())})
        made._add_numbers(np.repeat(numbers[known], counts[known]))
        return made

    def settle(self, sentinels: Sequence[float]) -> None:
        """Add to the moments what turns out to be no sentinel."""
        for value in sorted(self.odd.keys() - set(sentinels)):
            self.add_usual(np.full(self.odd.pop(value), value))


def _counted(values: Floats) -> dict[float, int]:
    distinct, counts = np.unique(values, return_counts=True)
    return dict(zip(distinct.tolist(), counts.tolist(), strict=True))


def _added(moments: _Moments | None, values: Floats) -> _Moments:
    moments = moments or _Moments(np.array(values[0]))
    moments.add(values)
    return moments


class FeatureStats:
    """Counts and moments of a side's features, which grow batch by batch."""

    def __init__(self, side: Side) -> None:
        self.side: Side = side
        self.rows = 0
        self._columns: dict[str, _FeatureColumn] = {}
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
            self._columns.setdefault(name, _FeatureColumn()).add([row.get(name) for row in features], counts)

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
        distinct = (
            (None if column.distinct is None else len(column.distinct))
            if facts.kind == "number"
            else len(column.values) or None
        )
        return stated(
            one, f"{self.side}.{one.name}", missing=(facts.missing + odd) / max(self.rows, 1), distinct=distinct
        )

    def _check_kinds(self, name: str, column: _FeatureColumn) -> None:
        kinds = set(column.kinds) - {"null"}
        if any(kind.startswith("list of") for kind in kinds):  # an empty list may belong to a list of any kind
            kinds.discard("empty list")
        if len(kinds) > 1 or kinds & {"other", "list of mixed kinds", "list of others", "list of bools"}:
            said = ", ".join(f"{kind} ({count})" for kind, count in sorted(column.kinds.items()))
            raise UsageError(f"feature {name!r} of {self.side}s must be of one kind that features have, got {said}")

    def _input(self, name: str, column: _FeatureColumn, decided: Decided, options: SpecOptions) -> Input | None:
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

    def _vector(self, name: str, column: _FeatureColumn, *, missing: bool) -> Vector:
        if len(column.lengths) > 1 or column.vectors is None:
            raise UsageError(
                f"feature {name!r} of {self.side}s must be a vector of one length, got {sorted(column.lengths)[:5]}"
            )
        means, scales = column.vectors.mean, column.vectors.scale
        return Vector(name, tuple(means.tolist()), tuple(scales.tolist()), indicator=missing, clip=_CLIP)


def _number(name: str, column: _FeatureColumn, *, missing: bool) -> Number | None:
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


def _codes(name: str, column: _FeatureColumn, options: SpecOptions) -> Category:
    counts: Counter[str | bool] = Counter({str(int(value)): count for value, count in (column.distinct or {}).items()})
    vocabulary = _vocabulary(counts, options.count_min, options)
    return Category(name, vocabulary, _buckets(len(counts), options), options.hashes, whole=True)


def _category(name: str, column: _FeatureColumn, options: SpecOptions, *, missing: bool) -> Category | None:
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


def _kind_of_all(values: Sequence[Any]) -> str | None:
    """Return the kind that all values share, which is the usual case; None where each value must be looked at."""
    types = set(map(type, values))
    if types <= {float, int}:
        return None if np.isnan(np.array(values, dtype=np.float64)).any() else "number"
    if len(types) > 1 or not types:
        return None
    if types <= {str, bool}:
        return _KIND[types.pop()]
    if types != {list} or not all(values):
        return None
    elements = set(map(type, chain.from_iterable(values)))
    return "list of strings" if elements == {str} else "list of numbers" if elements <= {float, int} else None


def _kind(value: object) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "null"
    if isinstance(value, list | tuple):
        if not value:
            return "empty list"
        kinds = {_KIND.get(type(element), "other") for element in value}
        return f"list of {kinds.pop()}s" if len(kinds) == 1 else "list of mixed kinds"
    return _KIND.get(type(value), "other")

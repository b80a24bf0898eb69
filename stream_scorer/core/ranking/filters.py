"""Filters on offers' attributes: which rows of a catalog they match, and which filters make no sense there.

An offer without the attribute never matches, whatever the operator. On a bag, `==` means that it contains the value,
`!=` that it does not, and `in` that it contains any of the values. An offer whose value is of another kind than the
filter's never matches either. A filter is refused where some offers have the attribute, but none in the filter's kind.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_scorer.core.filter_operators import (
    BAG,
    BOOL,
    KIND_NAMES,
    MISSING,
    NUMBER,
    TEXT,
    VECTOR,
    AttributeColumn,
    kinds_needed,
    kinds_of,
    matches,
)
from stream_scorer.core.messages import Filter, RequestedOffer
from stream_scorer.core.releases.catalog import Catalog, Flags, Rows
from stream_scorer.core.wire.strict_json import Refusal, path_text

_PARSED_AT_ONCE = 10_000  # offers: all of a catalog's features in memory would be too many

_encode = msgspec.json.Encoder().encode


def filter_masks(expressions: Sequence[Sequence[Filter]], catalog: Catalog) -> list[Flags | None]:
    """Return for each list of filters a mask of the rows (N,) that match all of them; None for an empty list.

    Equal lists get the same array, so that callers can group requests by its identity.
    """
    masks: dict[bytes, Flags] = {}
    found: list[Flags | None] = [None] * len(expressions)
    for place, filters in enumerate(expressions):
        if filters:
            key = _encode(filters)
            if key not in masks:
                masks[key] = np.logical_and.reduce([_matches(catalog, condition) for condition in filters])
            found[place] = masks[key]
    return found


def is_matched(filters: Sequence[Filter], features: Sequence[Mapping[str, Any]]) -> Flags:
    """Return which of some offers (n,), given by their features, match all filters."""
    columns = {name: _column([each.get(name) for each in features], {}) for name in {one.attribute for one in filters}}
    matched = [matches(columns[one.attribute], one.op, one.value) for one in filters]
    matched_all: Flags = np.logical_and.reduce([np.ones(len(features), bool), *matched])
    return matched_all


def filter_refusal(
    filters: Sequence[Filter], catalog: Catalog, stated: Sequence[RequestedOffer] = ()
) -> Refusal | None:
    """Return why the first filter that makes no sense is refused; None where all make sense.

    What a request has `stated` of offers counts beside the catalog's features.
    """
    for place, condition in enumerate(filters):
        column = column_of(catalog, condition.attribute)
        present = column.kinds_present if column else frozenset()
        present |= {_kind(offer.features.get(condition.attribute)) for offer in stated} - {MISSING}
        if not _comparable(condition, present):
            where = f"{path_text(('filters', place))}: {path_text((condition.attribute,))} {condition.op}"
            kinds = " or ".join(KIND_NAMES[kind] for kind in sorted(present)) or "anything"
            value = KIND_NAMES[kinds_of(condition.value)[0]]
            return Refusal("filter_kind_mismatch", f"{where} cannot compare {kinds} with {value}")
    return None


def _comparable(condition: Filter, present: frozenset[int]) -> bool:
    """Return whether some offer's value can be compared; where no offer has the attribute, whether any could be."""
    needed = kinds_needed(condition.op, condition.value)
    return needed is None or (bool(needed) and not (present and present.isdisjoint(needed)))


def _matches(catalog: Catalog, condition: Filter) -> Flags:
    column = column_of(catalog, condition.attribute)
    if column is None:
        return np.zeros(len(catalog), bool)
    return matches(column, condition.op, condition.value)


def column_of(catalog: Catalog, attribute: str) -> AttributeColumn | None:
    """Return an attribute's column; None where no offer has it, so that unknown names cost no memory."""
    return catalog.once(_ColumnOf(attribute)) if attribute in catalog.once(_ATTRIBUTES) else None


class _Attributes:
    """Makes the names of all attributes of a catalog; use with `Catalog.once`."""

    __slots__ = ()

    def __call__(self, catalog: Catalog) -> set[str]:
        return set().union(*_features(catalog.fragments))

    def followed(self, made: object, catalog: Catalog, rows: Rows) -> set[str]:
        """See FollowsChanges. A name that no offer has any longer stays, with a column that nothing matches."""
        return cast("set[str]", made).union(*_features(_of_rows(catalog, rows)))


_ATTRIBUTES = _Attributes()


@dataclass(frozen=True, slots=True)
class _ColumnOf:
    """Makes an attribute's column; a dataclass, so that `Catalog.once` knows equal attributes as the same key."""

    attribute: str

    def __call__(self, catalog: Catalog) -> AttributeColumn:
        return _column([features.get(self.attribute) for features in _features(catalog.fragments)], {})

    def followed(self, made: object, catalog: Catalog, rows: Rows) -> AttributeColumn:
        """See FollowsChanges."""
        before = cast("AttributeColumn", made)
        if len(before.vocabulary) > 2 * (len(before.codes) + len(before.bag_codes)):  # most are no offer's any longer
            return self(catalog)
        stated = [features.get(self.attribute) for features in _features(_of_rows(catalog, rows))]
        return _restated(before, rows, _column(stated, before.vocabulary.copy()))


def _of_rows(catalog: Catalog, rows: Rows) -> list[bytes]:
    return [catalog.fragments[row] for row in rows.tolist()]


def _features(fragments: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    for start in range(0, len(fragments), _PARSED_AT_ONCE):
        yield from msgspec.json.decode(b"[" + b",".join(fragments[start : start + _PARSED_AT_ONCE]) + b"]")


def _restated(before: AttributeColumn, rows: Rows, stated: AttributeColumn) -> AttributeColumn:
    """Return a column with these rows as in `stated`, whose vocabulary goes on from that of the column."""
    kinds, numbers, codes = before.kinds.copy(), before.numbers.copy(), before.codes.copy()
    kinds[rows], numbers[rows], codes[rows] = stated.kinds, stated.numbers, stated.codes
    stays = ~np.isin(before.bag_rows, rows)
    return AttributeColumn(
        kinds,
        numbers,
        codes,
        np.concatenate([before.bag_rows[stays], rows[stated.bag_rows]]),
        np.concatenate([before.bag_codes[stays], stated.bag_codes]),
        stated.vocabulary,
        _kinds_present(kinds),
    )


def _column(values: Sequence[Any], vocabulary: dict[str, int]) -> AttributeColumn:
    """Return the column of these values; texts that `vocabulary` lacks are added to it."""
    kinds = np.fromiter(map(_kind, values), np.int8, len(values))
    numbers = np.fromiter((value if isinstance(value, int | float) else 0 for value in values), np.float64, len(values))
    bags = [(row, text) for row in np.flatnonzero(kinds == BAG).tolist() for text in values[row]]

    def code(text: str) -> int:
        return vocabulary.setdefault(text, len(vocabulary))

    codes = np.fromiter((code(value) if isinstance(value, str) else -1 for value in values), np.int64, len(values))
    bag_codes = np.fromiter((code(text) for _, text in bags), np.int64, len(bags))
    bag_rows = np.fromiter((row for row, _ in bags), np.int64, len(bags))
    return AttributeColumn(kinds, numbers, codes, bag_rows, bag_codes, vocabulary, _kinds_present(kinds))


def _kinds_present(kinds: NDArray[np.int8]) -> frozenset[int]:
    return frozenset(np.flatnonzero(np.bincount(kinds)).tolist()) - {MISSING}


def _kind(value: object) -> int:
    if isinstance(value, list):
        # An empty list may be either. As a bag it contains nothing, which `!=` can match.
        return VECTOR if value and not isinstance(value[0], str) else BAG
    return {float: NUMBER, int: NUMBER, str: TEXT, bool: BOOL, type(None): MISSING}[type(value)]

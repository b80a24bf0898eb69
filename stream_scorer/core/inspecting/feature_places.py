"""Where a feature lies in a side's encoded arrays: exchanged between examples, and read back as text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from stream_scorer.core.datasets.training_set import EncodedSide, Places
from stream_scorer.core.features.slots import Bag, Category
from stream_scorer.core.features.spec import FeatureSpec, Floats, Input, Inputs, Number, Vector

MISSING, UNSEEN = "missing", "not known to the model"
_BAG_SHOWN_MAX = 8
_QUARTERS = (0.25, 0.5, 0.75)


@dataclass(frozen=True, slots=True)
class FeaturePlace:
    """An input, and where its arrays are: the `slot` of a category or bag, else the number columns from `column` on."""

    input: Input
    slot: int
    column: int
    first_row: int = 0  # of the slot in the table, which is that of a missing value


@dataclass(frozen=True, slots=True)
class Grouped:
    """Examples by the value of a feature: `codes` (n,) are places in `names`."""

    codes: Places
    names: tuple[str, ...]


def places_of(spec: FeatureSpec) -> dict[str, tuple[FeaturePlace, ...]]:
    """Return the places of each feature by its name; the id goes by "the customer's id" or "the offer's id"."""
    found: dict[str, tuple[FeaturePlace, ...]] = {}
    for place in _places(spec):
        own_id = isinstance(place.input, Category) and place.input.from_id
        name = f"the {spec.side}'s id" if own_id else place.input.name
        found[name] = (*found.get(name, ()), place)
    return found


def _places(spec: FeatureSpec) -> Iterator[FeaturePlace]:
    slot = column = 0
    for one in spec.inputs:
        if isinstance(one, Number | Vector):
            yield FeaturePlace(one, -1, column)
            column += one.width
        else:
            yield FeaturePlace(one, slot, -1, spec.first_rows[slot])
            slot += 1


def exchanged(side: EncodedSide, own: Places, others: Places, places: tuple[FeaturePlace, ...]) -> Inputs:
    """Return examples `own` (B,) as a tower reads them, with the values of a feature taken from `others` (B,)."""
    segments = own[:, None] * side.slots + np.arange(side.slots)
    numbers = side.numbers[own].astype(np.float64)
    for place in places:
        if isinstance(place.input, Number | Vector):
            columns = slice(place.column, place.column + place.input.width)
            numbers[:, columns] = side.numbers[others, columns]
        else:
            segments[:, place.slot] = others * side.slots + place.slot
    rows, starts = side.table_rows(segments.reshape(-1))
    return Inputs(rows.astype(np.int64), starts[:-1], numbers, ())


def grouped(side: EncodedSide, examples: Places, place: FeaturePlace) -> Grouped | None:
    """Group examples (n,) by the value of a category, or by quarters of a number; None for other inputs."""
    match place.input:
        case Category() as category:
            code = _table_row(side, examples, place) - place.first_row
            names = (MISSING, *map(str, category.vocabulary), UNSEEN)
            return Grouped(np.minimum(code, len(names) - 1), names)
        case Number() as number:
            return _quarters(number, *_raw(side, examples, place, number))
    return None


def texts(side: EncodedSide, example: int, places: Mapping[str, tuple[FeaturePlace, ...]]) -> dict[str, str]:
    """Return the features of an example as text, as far as its arrays tell; the id is not among them."""
    return {
        name: _text(side, example, several[0])
        for name, several in places.items()
        if not (isinstance(several[0].input, Category) and several[0].input.from_id)
    }


def _text(side: EncodedSide, example: int, place: FeaturePlace) -> str:
    match place.input:
        case Number() as number:
            raw, missing = _raw(side, np.array([example]), place, number)
            return MISSING if missing[0] else _number_text(number, float(raw[0]))
        case Vector() as vector:
            return f"a vector of {len(vector.means)} numbers"
        case Category() | Bag() as slot:
            begin = side.starts[example * side.slots + place.slot]
            end = side.starts[example * side.slots + place.slot + 1]
            return _rows_text(side.rows[begin:end] - place.first_row, slot)


def _rows_text(rows: npt.NDArray[np.integer], slot: Category | Bag) -> str:
    """Name table rows, counted from that of a missing value; unseen values, which share rows, have no name."""
    if not rows.any():
        return MISSING
    named = [str(slot.vocabulary[row - 1]) for row in rows.tolist() if 0 < row <= len(slot.vocabulary)]
    more = f" and {len(named) - _BAG_SHOWN_MAX} more" if len(named) > _BAG_SHOWN_MAX else ""
    return ", ".join(named[:_BAG_SHOWN_MAX]) + more if named else UNSEEN


def _table_row(side: EncodedSide, examples: Places, place: FeaturePlace) -> Places:
    """Return the first table row (n,) of each example's value."""
    return side.rows[side.starts[examples * side.slots + place.slot]].astype(np.int64)


def _raw(
    side: EncodedSide, examples: Places, place: FeaturePlace, number: Number
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the values (n,) that a number had before it was scaled, and which are missing, as far as that is known.

    A number without a column for what is missing has its mean there, as the model reads it.
    """
    encoded = side.numbers[examples, place.column].astype(np.float64)
    raw = encoded / number.scale + number.mean if number.scale else np.full(len(encoded), number.mean)
    if number.log:
        # beyond this, expm1 would leave the doubles; a clipped value is that large only by chance
        raw = np.sign(raw) * np.expm1(np.minimum(np.abs(raw), 700.0))
    last = side.numbers[examples, place.column + number.width - 1]
    missing = last == 1 if number.indicator else np.zeros(len(encoded), bool)
    return raw, missing


def _quarters(number: Number, raw: Floats, missing: npt.NDArray[np.bool_]) -> Grouped:
    """Group by quarters; a number with few values has fewer groups, since equal values stay together."""
    present = raw[~missing]
    edges = np.unique(np.quantile(present, _QUARTERS, method="higher")) if len(present) else np.zeros(0)
    edges = edges[edges > present.min(initial=np.inf)]
    # Rounded by the arrays' float32, equal values may differ in their last digits; edges are taken a little lower.
    codes = np.searchsorted(edges - 1e-6 * np.abs(edges), raw, side="right")
    codes[missing] = len(edges) + 1
    return Grouped(codes, (*_range_names([_number_text(number, float(edge)) for edge in edges]), MISSING))


def _range_names(edges: list[str]) -> tuple[str, ...]:
    if not edges:
        return ("any",)
    between = [f"{low} to below {high}" for low, high in pairwise(edges)]
    return (f"below {edges[0]}", *between, f"{edges[-1]} and more")


def _number_text(number: Number, value: float) -> str:
    if number.reading == "date" and abs(value) < 700_000:  # days that datetime knows
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=round(value))).date().isoformat()
    return f"{value:.5g}"

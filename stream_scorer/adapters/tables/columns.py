"""Converts columns to arrays by kind: a list from a text file and an Arrow array from Parquet give the same arrays.

Of an Arrow array of the usual type, only the distinct values become Python objects.
"""

from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from stream_scorer.adapters.tables.arrow_columns import category_of, milliseconds, plain_values
from stream_scorer.adapters.tables.kinds import FEATURES, LABEL, TIME, TIME_MS, Kind, Misfit
from stream_scorer.adapters.tables.places import Place

if TYPE_CHECKING:
    import pyarrow as pa

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Coded = tuple[list[Any], Ints]  # the distinct values, null as None, and for each row the index of its value

_encode = msgspec.json.Encoder().encode


class Column(Protocol):
    """A column of some rows of a file.

    Every method raises UsageError, with file, row, column and value, for a value that the kind does not take.
    """

    @property
    def place(self) -> Place:
        """The file, the column's name, and the numbers of its rows."""

    def coded(self, kind: Kind) -> Coded:
        """Return the distinct values, converted, and which of them each row has."""

    def integers(self, kind: Kind, default: int) -> Ints:
        """Return an integer for each row, and the default for null."""

    def numbers(self, kind: Kind) -> Floats:
        """Return a number for each row, and NaN for null."""

    def texts(self) -> Coded:
        """Return the distinct features as the bytes of JSON objects, `{}` for null, and which of them each row has."""


@dataclass(frozen=True, slots=True)
class ListColumn:
    """A column of a text file. See Column."""

    place: Place
    values: Sequence[Any]

    def coded(self, kind: Kind) -> Coded:
        """See Column.coded."""
        return code(self.place.converted(kind, self.values))

    def integers(self, kind: Kind, default: int) -> Ints:
        """See Column.integers."""
        # exact types, since isinstance takes a bool for an integer
        if set(map(type, self.values)) == {int}:
            with suppress(OverflowError):  # beyond an int64: the slow way below names the row
                return np.array(self.values, np.int64)
        converted = self.place.converted(kind, self.values)
        return np.array([default if value is None else value for value in converted], np.int64)

    def numbers(self, kind: Kind) -> Floats:
        """See Column.numbers."""
        # numpy reads None as NaN, so these values need no conversion of their own
        plain = set(map(type, self.values)) <= {float, int, type(None)}
        return np.array(self.values if plain else self.place.converted(kind, self.values), np.float64)

    def texts(self) -> Coded:
        """See Column.texts."""
        values, index = code([_encode(value) if isinstance(value, dict) else value for value in self.values])
        return [b"{}" if value is None else value for value in values], index


@dataclass(frozen=True, slots=True)
class ArrowColumn:
    """A column of a Parquet file, of a type that the kind takes. See Column."""

    place: Place
    array: "pa.Array"

    def coded(self, kind: Kind) -> Coded:
        """See Column.coded."""
        if category_of(self.array.type) == "uuid":
            return self._list().coded(kind)
        values, index = self._distinct(self.array)
        if kind.are_plain(values[:-1]):
            return values, index
        return self._converted(kind, values, index), index

    def _converted(self, kind: Kind, values: list[Any], index: Ints) -> list[Any]:
        converted = []
        for place, value in enumerate(values):
            try:
                converted.append(kind.convert(value))
            except Misfit as misfit:
                rows = np.flatnonzero(index == place)
                if rows.size:
                    raise self.place.refusal(int(rows[0]), value, str(misfit)) from None
                converted.append(None)  # no row has it: a dictionary may list unused values
        return converted

    def _distinct(self, array: "pa.Array") -> Coded:
        """Return the distinct values, None last. In a dictionary, indices may be null, and values, too."""
        import pyarrow as pa

        if pa.types.is_null(array.type):
            return [None], np.zeros(len(array), np.int64)
        encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
        values = plain_values(self.place.file, self.place.column, encoded.dictionary)
        filled = encoded.indices.cast(pa.int64()).fill_null(len(values))
        return [*values, None], np.asarray(filled.to_numpy(zero_copy_only=False), np.int64)

    def integers(self, kind: Kind, default: int) -> Ints:
        """See Column.integers."""
        category = category_of(self.array.type)
        if category == TIME and kind is TIME_MS:
            return self._times(default)
        # an unsigned integer may be beyond an int64: the slow way names the row where it is
        if (category == "integer" and not self._is_unsigned()) or (category == "bool" and kind is LABEL):
            return self._numpy(self._int64().fill_null(default))
        return self._list().integers(kind, default)

    def _is_unsigned(self) -> bool:
        import pyarrow as pa

        return bool(pa.types.is_unsigned_integer(self.array.type))

    def _int64(self) -> "pa.Array":
        import pyarrow as pa

        return self.array.cast(pa.int64())

    def _times(self, default: int) -> Ints:
        try:
            times = milliseconds(self.array)
        except ValueError as error:
            raise self.place.refusal(0, self.array.type, str(error)) from error
        times[self._numpy(self.array.is_null())] = default
        return times

    def numbers(self, kind: Kind) -> Floats:
        """See Column.numbers."""
        if category_of(self.array.type) == "number":
            return self._numpy(self.array).astype(np.float64)
        return self._list().numbers(kind)

    def texts(self) -> Coded:
        """See Column.texts."""
        if category_of(self.array.type) in ("text", "null"):
            values, index = self._distinct(self.array)
            return [b"{}" if value is None else value.encode() for value in values], index
        listed = self._list()
        return replace(listed, values=self.place.converted(FEATURES, listed.values)).texts()

    def _list(self) -> ListColumn:
        return ListColumn(self.place, plain_values(self.place.file, self.place.column, self.array))

    def _numpy(self, array: "pa.Array") -> npt.NDArray[Any]:
        return np.asarray(array.to_numpy(zero_copy_only=False))


def code(values: Sequence[Hashable]) -> Coded:
    """Return the distinct values in the order in which they first occur, and for each value its index among them."""
    codes: dict[Hashable, int] = {}
    # len(codes) is evaluated before the value is added, so it is the next free index
    coded = np.array([codes.setdefault(value, len(codes)) for value in values], np.int64)
    return list(codes), coded


def check_each(place: Place, values: npt.NDArray[Any], fits: Mask, reason: str) -> None:
    """Raise UsageError, with the reason, for the first row that does not fit."""
    if not fits.all():
        row = int((~fits).argmax())
        raise place.refusal(row, values[row], reason)


def check_distinct(place: Place, coded: Coded, fault: Callable[[Any], str | None]) -> None:
    """Raise UsageError for the first row whose value has a fault. Each distinct value is judged only once."""
    values, index = coded
    faults = [fault(value) for value in values]
    for row in np.flatnonzero(np.array([each is not None for each in faults], bool)[index]).tolist():
        raise place.refusal(row, values[index[row]], str(faults[index[row]]))

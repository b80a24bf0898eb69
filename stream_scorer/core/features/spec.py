"""Encodes the feature dicts of a side, customers or offers, as arrays, by the same code in training and serving."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from stream_scorer.core.features.columns import Floats, Number, Vector
from stream_scorer.core.features.slots import Bag, Category, Rows, Slot
from stream_scorer.core.features.values import Errors, RowError, Values
from stream_scorer.errors import BadModel

__all__ = ["Bag", "Category", "FeatureSpec", "Floats", "Input", "Inputs", "Number", "RowError", "Side", "Vector"]

Side = Literal["customer", "offer"]
Input = Number | Vector | Category | Bag


@dataclass(frozen=True, slots=True)
class Inputs:
    """A batch as arrays: its table rows in CSR form, example by example and slot by slot, and its number columns.

    Every slot of every example has at least one table row, so `np.add.reduceat` over `starts` meets no empty segment.
    An example in `errors` is encoded with missing values in place of its wrong ones.
    """

    rows: Rows  # (nnz,)
    starts: Rows  # (B * slots,)
    numbers: Floats  # (B, n)
    errors: tuple[RowError, ...]


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """The inputs of one side, in the order of the arrays."""

    side: Side
    inputs: tuple[Input, ...]
    _known: tuple[dict[object, int], ...] = field(init=False, repr=False, compare=False)
    _firsts: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Lay out the fused table, slot after slot."""
        firsts = np.concatenate([[0], np.cumsum([slot.height for slot in self.slots], dtype=np.int64)]).tolist()
        known: list[dict[object, int]] = []
        for slot, first in zip(self.slots, firsts, strict=False):
            rows: dict[object, int] = {value: first + 1 + index for index, value in enumerate(slot.vocabulary)}
            known.append(rows if isinstance(slot, Bag) else {None: first} | rows)  # a bag's elements are never null
        # A frozen dataclass can set what it derives only in this way.
        object.__setattr__(self, "_firsts", tuple(firsts))
        object.__setattr__(self, "_known", tuple(known))

    @property
    def slots(self) -> tuple[Category | Bag, ...]:
        """The inputs that have rows in the table."""
        return tuple(one for one in self.inputs if isinstance(one, Category | Bag))

    @property
    def table_rows(self) -> int:
        """The height of the fused table."""
        return self._firsts[-1]

    @property
    def first_rows(self) -> tuple[int, ...]:
        """The first row of each slot, which is that of a missing value, and at the end the table's height."""
        return self._firsts

    @property
    def numbers(self) -> int:
        """How many number columns there are."""
        return sum(one.width for one in self.inputs if isinstance(one, Number | Vector))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features that are read; the id is not a feature."""
        return tuple(one.name for one in self.inputs if not (isinstance(one, Category) and one.from_id))

    def misfits(self, features: Sequence[Mapping[str, Any]]) -> dict[str, int]:
        """Count by feature the rows whose value is of another kind; `encode` reports only the first error of a row."""
        counts = {}
        for one in self.inputs:
            if isinstance(one, Category) and one.from_id:
                continue
            values: Values = [row.get(one.name) for row in features]
            errors: Errors = {}
            if isinstance(one, Category | Bag):
                place = self.slots.index(one)
                one.slot(values, self._known[place], self._firsts[place], errors)
            else:
                one.columns(values, errors)
            if errors:
                counts[one.name] = len(errors)
        return counts

    def encode(self, features: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> Inputs:
        """Encode a batch as arrays, an input at a time; each row's first error is in `errors`."""
        errors: Errors = {}
        slots: list[Slot] = []
        columns: list[Floats] = []
        for one in self.inputs:
            name = one.name
            if isinstance(one, Category | Bag):
                known, first = self._known[len(slots)], self._firsts[len(slots)]
                values: Values = (
                    ids if isinstance(one, Category) and one.from_id else [row.get(name) for row in features]
                )
                slots.append(one.slot(values, known, first, errors))
            else:
                columns.append(one.columns([row.get(name) for row in features], errors))
        rows, starts = _interleaved(slots, len(features))
        numbers = np.concatenate(columns, axis=1) if columns else np.zeros((len(features), 0))
        return Inputs(rows, starts, numbers, tuple(errors[index] for index in sorted(errors)))

    def to_json(self) -> dict[str, Any]:
        """Return plain lists and dicts; `from_json` gives the same spec back."""
        return {"side": self.side, "inputs": list(map(_input_to_json, self.inputs))}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "FeatureSpec":
        """Return the spec that `to_json` wrote; raise BadModel when a field or a kind is missing or unknown."""
        try:
            return FeatureSpec(side=data["side"], inputs=tuple(_input_from_json(one) for one in data["inputs"]))
        except (KeyError, TypeError) as error:
            raise BadModel(f"the feature spec cannot be read: {error!r}") from error


_KINDS: dict[str, Callable[..., Input]] = {"number": Number, "vector": Vector, "category": Category, "bag": Bag}
_KIND_OF = {made: kind for kind, made in _KINDS.items()}


# Fields that older models lack. They are left out at their defaults, so that the ids of those models do not change.
_LATER = {"knots": (), "reading": "plain", "sentinels": (), "whole": False}


def _input_to_json(one: Input) -> dict[str, Any]:
    stated = {name: value for name, value in asdict(one).items() if name not in _LATER or value != _LATER[name]}
    return {"kind": _KIND_OF[type(one)], **stated}


def _input_from_json(data: Mapping[str, Any]) -> Input:
    fields = {
        name: tuple(value) if isinstance(value, list) else value for name, value in data.items() if name != "kind"
    }
    return _KINDS[data["kind"]](**fields)


def _interleaved(slots: Sequence[Slot], batch: int) -> tuple[Rows, Rows]:
    """Merge the slots' rows, example by example; return them and where each slot of each example starts."""
    if all(slot.counts is None for slot in slots):
        rows = np.stack([slot.rows for slot in slots], axis=1).reshape(-1) if slots else np.zeros(0, np.int64)
        return rows, np.arange(batch * len(slots), dtype=np.int64)
    ones = np.ones(batch, np.int64)
    counts = np.stack([ones if slot.counts is None else slot.counts for slot in slots], axis=1)  # (B, slots)
    ends = np.cumsum(counts.reshape(-1))
    starts = ends - counts.reshape(-1)
    rows = np.empty(int(ends[-1]) if batch else 0, np.int64)
    for number, slot in enumerate(slots):
        # `shift` is how far an example's rows move from their place in the slot to their place in the batch.
        mine = counts[:, number]
        shift = starts.reshape(batch, len(slots))[:, number] - (np.cumsum(mine) - mine)
        rows[np.repeat(shift, mine) + np.arange(len(slot.rows))] = slot.rows
    return rows, starts

"""The layouts of tables, the same for all commands: which columns are a message's own, and which are features.

docs/tables.md shows them to users.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stream_scorer.adapters.tables.kinds import (
    ANY,
    FEATURE,
    FEATURES,
    FLAG,
    ID,
    IDS,
    INTEGER,
    JSON,
    LABEL,
    NUMBER,
    TIME_MS,
    VECTOR,
    WORD,
    Kind,
)
from stream_scorer.adapters.tables.places import caution
from stream_scorer.errors import UsageError

_INDEX_COLUMN = re.compile(r"|Unnamed: \d+|__index_level_\d+__")  # names by which pandas writes a frame's index
_NAMED_MAX = 5
_LOOKED_LINES = 1_000


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a kind of table.

    `own` are a message's columns, and `sides` the columns that contain all features of a side. Where `bare` is set and
    no column names a side, every other column is a feature.
    """

    rows: str
    own: Mapping[str, Kind]
    required: tuple[str, ...] = ()
    sides: tuple[str, ...] = ()
    bare: bool = False
    derived: tuple[str, ...] = ()  # columns whose names begin so repeat other columns, for other tools


OFFERS = Layout(
    "offers",
    {"offer_id": ID, "active": FLAG, "valid_from_ms": TIME_MS, "valid_until_ms": TIME_MS},
    required=("offer_id",),
    sides=("features",),
    bare=True,
)
REQUESTS = Layout(
    "requests",
    {
        "request_id": ID,
        "customer_id": ID,
        "event_time_ms": TIME_MS,
        "offers": IDS,
        "exclude": IDS,
        "filters": JSON,
        "limit": INTEGER,
    },
    sides=("features",),
    bare=True,
)
ACCEPTANCES = Layout(
    "acceptances",
    {
        "acceptance_id": ID,
        "request_id": ID,
        "customer_id": ID,
        "offer_id": ID,
        "accepted": FLAG,
        "event_time_ms": TIME_MS,
        "request_time_ms": TIME_MS,
    },
)
LABELS = Layout(
    "labelled examples",
    {
        "example_id": ID,
        "revision": INTEGER,
        "request_id": ID,
        "customer_id": ID,
        "offer_id": ID,
        "accepted": LABEL,
        "cause": WORD,
        "rank": INTEGER,
        "score": NUMBER,
        "propensity": NUMBER,
        "release_id": ID,
        "request_time_ms": TIME_MS,
        "label_time_ms": TIME_MS,
        "exposure": WORD,
        "keep_prob": NUMBER,
        "tower_rank": INTEGER,
        "reranker_score": NUMBER,
    },
    required=("customer_id", "offer_id", "accepted"),
    sides=("customer_features", "offer_features"),
    derived=("customer.", "offer."),
)
RECORDS = Layout("records", {})


def vectors_layout(id_column: str) -> Layout:
    """Return the layout of a table of vectors, whose ids are in `id_column`."""
    return Layout("vectors", {id_column: ID, "vector": VECTOR}, required=(id_column, "vector"))


@dataclass(frozen=True, slots=True)
class ReadingPlan:
    """How a file's columns are read.

    `own` are the message's; a column in `whole` contains all features of a side, a column in `single` only a feature.
    """

    own: Mapping[str, Kind]
    whole: tuple[str, ...] = ()
    single: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # side -> column -> feature

    def kinds(self) -> dict[str, Kind]:
        """Return the kind of each column that is read; a column without a kind is left out."""
        single = {column: FEATURE for side in self.single.values() for column in side}
        return {**self.own, **dict.fromkeys(self.whole, FEATURES), **single}

    def message(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a message's fields from a row's converted values. A null field is left out; a null feature stays."""
        fields = {name: row[name] for name in self.own if row.get(name) is not None}
        for side in self.whole:
            fields[side] = row[side] or {}
        for side, columns in self.single.items():
            fields[side] = {feature: row[column] for column, feature in columns.items()}
        return fields


def plan_of(file: Path, names: Sequence[str], layout: Layout, *, where: str = "the schema") -> ReadingPlan:
    """Return how a file's columns are read; `where` says, for messages, which part of the file names them.

    Raises UsageError for a required column that is missing, a column named twice, and features of a side given both in
    a column of all and in columns of their own.
    """
    _check_names(f"{file}, {where}", names, layout)
    if layout is RECORDS:
        return ReadingPlan({name: ANY for name in names if not _INDEX_COLUMN.fullmatch(name)})
    own = {name: layout.own[name] for name in names if name in layout.own}
    whole = tuple(side for side in layout.sides if side in names)
    single = {side: _prefixed(names, side) for side in layout.sides}
    if both := [side for side in whole if single[side]]:
        raise UsageError(f"{file}: features come in a column {both[0]} or in columns {both[0]}.NAME, not in both")
    rest = _rest(names, layout, own, whole, single)
    if layout.bare and not whole and not any(single.values()):
        bare = {name: name for name in rest if not _INDEX_COLUMN.fullmatch(name)}
        single, rest = {layout.sides[0]: bare}, [name for name in rest if name not in bare]
    if rest:
        _say_left_out(file, rest, layout)
    # a bare table without a single feature still gives each message an empty object of features
    return ReadingPlan(
        own, whole, {side: columns for side, columns in single.items() if columns or (layout.bare and not whole)}
    )


class UnknownFields:
    """Cautions about fields in the first of a file's JSON lines that no message of the layout has."""

    def __init__(self, file: Path, layout: Layout) -> None:
        """Begin with no unknown field seen."""
        self._file, self._layout = file, layout
        self._known = {*layout.own, *layout.sides}
        self._unknown: dict[str, None] = {}
        self._looked = 0

    @property
    def is_over(self) -> bool:
        """Whether enough lines were looked at, or the layout has no fields to compare with."""
        return self._looked == _LOOKED_LINES or not self._layout.own

    def look(self, names: Iterable[str]) -> None:
        """Take the fields of a line into account, unless enough lines were looked at."""
        if self.is_over:
            return
        self._looked += 1
        ours = (*self._layout.derived, *(f"{side}." for side in self._layout.sides))
        self._unknown.update(
            dict.fromkeys(name for name in names if name not in self._known and not name.startswith(ours or "\0"))
        )
        if self._looked == _LOOKED_LINES:
            self.say()

    def say(self) -> None:
        """Caution about the unknown fields, if there are any; a second call says nothing."""
        if self._unknown:
            _say_left_out(self._file, list(self._unknown), self._layout)
        self._looked, self._unknown = _LOOKED_LINES, {}


def _check_names(place: str, names: Sequence[str], layout: Layout) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"{place} must name every column once, got {twice[0]!r} more than once")
    if missing := [name for name in layout.required if name not in names]:
        raise UsageError(
            f"{place} must name the columns of {layout.rows}, it lacks {', '.join(sorted(missing))}: got {list(names)}"
        )


def _prefixed(names: Sequence[str], side: str) -> dict[str, str]:
    return {name: name.removeprefix(f"{side}.") for name in names if name.startswith(f"{side}.")}


def _rest(
    names: Sequence[str],
    layout: Layout,
    own: Mapping[str, Kind],
    whole: Sequence[str],
    single: Mapping[str, Mapping[str, str]],
) -> list[str]:
    known = {*own, *whole, *(column for side in single.values() for column in side)}
    # a derived column is known to repeat other data only where the file has those data
    derived = layout.derived if set(layout.sides) & set(whole) else ()
    return [name for name in names if name not in known and not name.startswith(derived or "\0")]


def _say_left_out(file: Path, names: Sequence[str], layout: Layout) -> None:
    listed = ", ".join(name or "(no name)" for name in names[:_NAMED_MAX]) + (", …" if len(names) > _NAMED_MAX else "")
    way = " or ".join(f"{side}.NAME" for side in layout.sides)
    advice = f": a feature's column is named {way}" if way else ""
    caution(f"{file}: columns that no {layout.rows} have are left out ({listed}){advice}")

"""Labelled examples as compact arrays: each distinct encoded customer and offer once, and rows that index them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

from stream_scorer.core.datasets.chunks import ExampleChunk, ExampleSource, Views
from stream_scorer.core.features.coverage import FeatureCoverage, coverage_of
from stream_scorer.core.features.spec import FeatureSpec, Inputs
from stream_scorer.core.messages import Offer
from stream_scorer.errors import UsageError

Ints32 = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class EncodedSide:
    """Encoded examples of one side; example i owns the segments [i * slots, (i + 1) * slots) of table rows."""

    rows: Ints32  # (nnz,)
    starts: Places  # (count * slots + 1,)
    numbers: npt.NDArray[np.float32]  # (count, n)
    slots: int

    def __len__(self) -> int:
        """How many distinct examples there are."""
        return len(self.numbers)

    def inputs(self, chosen: Places) -> Inputs:
        """Return some examples as a Tower reads them."""
        rows, starts = self.segments(chosen)
        return Inputs(rows.astype(np.int64), starts[:-1], self.numbers[chosen].astype(np.float64), ())

    def segments(self, chosen: Places) -> tuple[Ints32, Places]:
        """Return the segments of some examples: their table rows, and where each starts, with the end as the last."""
        return self.table_rows((chosen[:, None] * self.slots + np.arange(self.slots)).reshape(-1))

    def table_rows(self, segments: Places) -> tuple[Ints32, Places]:
        """Return the table rows of segments (s,), end to end, and where each starts, with the end as the last."""
        first = self.starts[segments]
        counts = self.starts[segments + 1] - first
        starts = np.zeros(len(counts) + 1, np.int64)
        np.cumsum(counts, out=starts[1:])
        places = np.repeat(first - starts[:-1], counts) + np.arange(starts[-1])
        return self.rows[places], starts


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Rows of labels as columns (n,), in order of request time.

    `catalog` has the offers to be ranked; `catalog_of` (offers,) says which of them an encoded offer is, -1 for none.
    """

    customers: EncodedSide
    offers: EncodedSide
    catalog: EncodedSide
    catalog_of: Ints32
    customer: Ints32
    offer: Ints32
    who: Ints32  # which customer, whatever the features: a place in `customer_ids`
    request: Ints32  # which request, in no order
    accepted: npt.NDArray[np.int8]
    rank: npt.NDArray[np.int16]  # 0: unknown
    weight: npt.NDArray[np.float32]
    score: npt.NDArray[np.float32]  # as logged; NaN: unknown
    propensity: npt.NDArray[np.float32]  # NaN: unknown
    request_time_ms: Places
    customer_ids: Sequence[str]
    refused: int  # rows left out because their features could not be encoded
    coverages: tuple[FeatureCoverage, FeatureCoverage]  # of the distinct customers and offers of each chunk

    def __len__(self) -> int:
        """How many rows of labels there are."""
        return len(self.accepted)


def side_of(spec: FeatureSpec, views: Views) -> tuple[EncodedSide, Inputs]:
    """Encode the views of a side; also return the inputs, which have the errors."""
    inputs = spec.encode(views.features, views.ids)
    starts = np.append(inputs.starts, len(inputs.rows))
    return EncodedSide(inputs.rows.astype(np.int32), starts, inputs.numbers.astype(np.float32), len(spec.slots)), inputs


def build_training_set(
    source: ExampleSource, catalog: Sequence[Offer], user_spec: FeatureSpec, item_spec: FeatureSpec
) -> TrainingSet:
    """Encode all examples; raise UsageError when an offer of the catalog cannot be encoded, or without examples."""
    ranked = Views([offer.offer_id for offer in catalog], [offer.features for offer in catalog])
    catalog_side, encoded = side_of(item_spec, ranked)
    if encoded.errors:
        raise UsageError(f"offer {ranked.ids[encoded.errors[0].index]!r}: {encoded.errors[0].message}")
    builder = _Builder(user_spec, item_spec, {offer: place for place, offer in enumerate(ranked.ids)})
    for chunk in source.chunks():
        builder.add(chunk)
    return builder.training_set(catalog_side)


class _EncodedSideBuilder:
    """Collects the distinct encoded examples of one side."""

    def __init__(self, spec: FeatureSpec) -> None:
        self.spec = spec
        self.index: dict[int, int] = {}
        self.parts: list[EncodedSide] = []
        self.coverage = FeatureCoverage(spec.side, spec.feature_names)

    def add(self, views: Views, marks: Sequence[int] | None = None) -> tuple[Places, Places]:
        """Return each view's place, -1 where it cannot be encoded, and the new views in the order of their places.

        Views with different `marks` get different places even when they encode alike.
        """
        encoded, inputs = side_of(self.spec, views)
        self.coverage = self.coverage.plus(coverage_of(self.spec, views.features, inputs.errors))
        known = len(self.index)
        places = np.array([self.index.setdefault(key, len(self.index)) for key in _keys(encoded, marks)], np.int64)
        _, first = np.unique(places, return_index=True)
        fresh = first[places[first] >= known]
        self.parts.append(EncodedSide(*encoded.segments(fresh), encoded.numbers[fresh], encoded.slots))
        places[[error.index for error in inputs.errors]] = -1
        return places, fresh

    def side(self) -> EncodedSide:
        ends = np.cumsum([0, *(len(part.rows) for part in self.parts)])
        starts = [part.starts[:-1] + end for part, end in zip(self.parts, ends, strict=False)]
        return EncodedSide(
            rows=np.concatenate([part.rows for part in self.parts]),
            starts=np.append(np.concatenate(starts), ends[-1]),
            numbers=np.concatenate([part.numbers for part in self.parts]),
            slots=self.parts[0].slots,
        )


class _Builder:
    """Collects both sides and the rows."""

    def __init__(self, user_spec: FeatureSpec, item_spec: FeatureSpec, catalog_places: dict[str, int]) -> None:
        self.customers = _EncodedSideBuilder(user_spec)
        self.offers = _EncodedSideBuilder(item_spec)
        self.catalog_places = catalog_places
        self.catalog_of: list[int] = []
        self.who: dict[str, int] = {}
        self.columns: list[dict[str, npt.NDArray[np.generic]]] = []
        self.refused = 0

    def add(self, chunk: ExampleChunk) -> None:
        customer_places, _ = self.customers.add(chunk.customers)
        marks = [self.catalog_places.get(offer, -1) for offer in chunk.offers.ids]
        offer_places, fresh = self.offers.add(chunk.offers, marks)
        self.catalog_of += [marks[view] for view in fresh.tolist()]
        who = np.array([self.who.setdefault(one, len(self.who)) for one in chunk.customers.ids], np.int32)
        customer, offer = customer_places[chunk.customer], offer_places[chunk.offer]
        good = (customer >= 0) & (offer >= 0)
        self.refused += int((~good).sum())
        columns: dict[str, npt.NDArray[np.generic]] = {
            "customer": customer.astype(np.int32),
            "offer": offer.astype(np.int32),
            "who": who[chunk.customer],
            "request": chunk.request,
            "accepted": chunk.accepted,
            "rank": chunk.rank.astype(np.int16),
            "weight": chunk.weight.astype(np.float32),
            "score": chunk.score.astype(np.float32),
            "propensity": chunk.propensity.astype(np.float32),
            "request_time_ms": chunk.request_time_ms,
        }
        self.columns.append({name: _compact(column[good]) for name, column in columns.items()})

    def training_set(self, catalog: EncodedSide) -> TrainingSet:
        if not self.columns:
            raise UsageError("there are no labelled examples to train on")
        columns: dict[str, npt.NDArray[np.generic]] = {}
        # The chunks give up a column as it is joined, so that memory never has every column twice; the widest first.
        for name in sorted(self.columns[0], key=lambda name: name != "request"):
            columns[name] = _joined([part.pop(name) for part in self.columns])
            if name == "request":
                columns[name] = _numbered(columns[name])
        columns = _in_order(columns)
        return TrainingSet(
            customers=self.customers.side(),
            offers=self.offers.side(),
            catalog=catalog,
            catalog_of=np.array(self.catalog_of, np.int32),
            customer_ids=list(self.who),
            refused=self.refused,
            coverages=(self.customers.coverage, self.offers.coverage),
            **columns,  # type: ignore[arg-type]
        )


def _compact(column: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return a column whose rows all have one value, as ranks and weights often do, as a view of that value alone."""
    if not len(column) or not _alike(column, column[0]):
        return column
    return np.broadcast_to(column[0], column.shape)


def _joined(parts: Sequence[npt.NDArray[np.generic]]) -> npt.NDArray[np.generic]:
    """Concatenate; columns that `_compact` has made views of the same value stay such a view."""
    filled = [part for part in parts if len(part)]
    if filled and all(part.strides == (0,) for part in filled):
        values = np.array([part[0] for part in filled])
        if _alike(values, values[0]):
            return np.broadcast_to(values[0], (sum(map(len, filled)),))
    return np.concatenate(parts)


def _alike(values: npt.NDArray[np.generic], value: np.generic) -> bool:
    # NaN stands for unknown, and equals nothing
    return bool((values == value).all() or (values.dtype.kind == "f" and np.isnan(values).all()))


def _numbered(requests: npt.NDArray[np.generic]) -> Ints32:
    """Number the requests from 0, in no order; most rows of a request stand together, so their runs are sorted."""
    begins = np.ones(len(requests), np.bool_)
    begins[1:] = requests[1:] != requests[:-1]
    first = np.flatnonzero(begins)
    _, number = np.unique(requests[first], return_inverse=True)
    return np.repeat(number.reshape(-1).astype(np.int32), np.diff(first, append=len(requests)))


def _in_order(columns: dict[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
    """Put the rows into the order of their request times, one column after another; most logs have it already."""
    times = columns["request_time_ms"].astype(np.int64, copy=False)
    if (times[1:] >= times[:-1]).all():
        return columns
    order = np.argsort(times, kind="stable")
    for name, column in columns.items():
        columns[name] = column if column.strides == (0,) else column[order]
    return columns


def _keys(side: EncodedSide, marks: Sequence[int] | None) -> list[int]:
    """Hash each example's arrays with its mark; equal examples get equal keys."""
    # The counts tell apart examples with the same rows in other slots. Every element of the arrays has 4 bytes.
    ends = (side.starts[:: side.slots] if side.slots else np.zeros(len(side) + 1, np.int64)).tolist()
    rows, numbers = side.rows.tobytes(), side.numbers.tobytes()
    counts = (np.diff(side.starts).astype(np.int32).reshape(len(side), -1)).tobytes()
    wide, deep = 4 * side.numbers.shape[1], 4 * side.slots
    return [
        xxhash.xxh3_64_intdigest(
            rows[4 * ends[one] : 4 * ends[one + 1]]
            + counts[deep * one : deep * (one + 1)]
            + numbers[wide * one : wide * (one + 1)],
            seed=0 if marks is None else marks[one] + 1,
        )
        for one in range(len(side))
    ]

"""Labelled examples as columns, in chunks of bounded size, so that training can read more rows than fit in memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Views:
    """The distinct pairs of id and features of a side; many rows share a view."""

    ids: Sequence[str]
    features: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class ExampleChunk:
    """Rows as columns (n,); `customer` and `offer` index the chunk's views."""

    customers: Views
    offers: Views
    customer: Ints
    offer: Ints
    request: npt.NDArray[np.uint64]  # a hash of the request id
    accepted: npt.NDArray[np.int8]
    rank: Ints  # 0: unknown
    score: npt.NDArray[np.float64]  # NaN: unknown
    propensity: npt.NDArray[np.float64]  # NaN: unknown
    weight: npt.NDArray[np.float64]  # how many rows it stands for: 1 / keep_prob of a sampled negative
    request_time_ms: Ints
    label_time_ms: Ints  # when the label was known; 0: unknown
    shown: npt.NDArray[np.bool_]  # the customer answered for this offer
    tower_rank: Ints  # the place by the towers' score alone; 0: ranked without a re-ranker, or unknown

    def __len__(self) -> int:
        """How many rows the chunk has."""
        return len(self.accepted)


class ExampleSource(Protocol):
    """Labelled examples that can be read more than once, with only the latest revision of each."""

    def chunks(self) -> Iterator[ExampleChunk]:
        """Yield all rows, always in the same order."""

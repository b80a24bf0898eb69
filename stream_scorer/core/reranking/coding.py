"""Turns a side's encoded inputs into codes: a category's place in its vocabulary, or a number's bin."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from stream_scorer.core.features.spec import Bag, Category, FeatureSpec, Floats, Inputs, Number
from stream_scorer.core.towers.reranker import Places
from stream_scorer.errors import BadModel


@dataclass(frozen=True, slots=True)
class Coding:
    """Codes of one side: its categories in order, then its numbers, each cut into bins at `cuts`.

    A category's code 0 is a missing value, or one that training has not seen; a number's is a missing value. A number
    of the spec has no code where its cuts are empty.
    """

    spec: FeatureSpec
    cuts: tuple[tuple[float, ...], ...]  # of each number of the spec, encoded; rising

    def __post_init__(self) -> None:
        """Raise BadModel for cuts that do not fit the spec or do not rise, and for inputs with hashed rows."""
        if hashed := [slot.name for slot in self.spec.slots if slot.buckets]:
            raise BadModel(f"a re-ranker reads no hashed rows, {hashed[0]!r} has some")
        numbers = [one for one in self.spec.inputs if isinstance(one, Number)]
        if len(self.cuts) != len(numbers):
            raise BadModel(f"{len(numbers)} numbers need as many lists of cuts, got {len(self.cuts)}")
        if not all(np.isfinite(cuts).all() and all(a < b for a, b in pairwise(cuts)) for cuts in self.cuts):
            raise BadModel("the cuts of a number must be finite and rise")

    @property
    def names(self) -> tuple[str, ...]:
        """The features that have codes, in order."""
        numbers = (one for one in self.spec.inputs if isinstance(one, Number))
        binned = (one.name for one, cuts in zip(numbers, self.cuts, strict=True) if cuts)
        return (*(one.name for one in self.spec.slots if isinstance(one, Category)), *binned)

    @property
    def heights(self) -> tuple[int, ...]:
        """How many codes each of these features has."""
        categories = (one.height for one in self.spec.slots if isinstance(one, Category))
        return (*categories, *(len(cuts) + 2 for cuts in self.cuts if cuts))

    def codes(self, inputs: Inputs) -> Places:
        """Return the codes (B, C) of encoded inputs."""
        batch, columns = len(inputs.numbers), [*self._of_categories(inputs), *self._of_numbers(inputs.numbers)]
        return np.stack(columns, axis=1) if columns else np.zeros((batch, 0), np.int64)

    def _of_categories(self, inputs: Inputs) -> list[Places]:
        slots, firsts = self.spec.slots, self.spec.first_rows
        starts = inputs.starts.reshape(len(inputs.numbers), len(slots))
        # without hashed rows a category has exactly one row
        return [
            inputs.rows[starts[:, place]] - firsts[place]
            for place, slot in enumerate(slots)
            if isinstance(slot, Category)
        ]

    def _of_numbers(self, numbers: Floats) -> list[Places]:
        codes, column = [], 0
        cuts = iter(self.cuts)
        for one in self.spec.inputs:
            if isinstance(one, Number) and (own := next(cuts)):
                binned = 1 + np.searchsorted(np.array(own), numbers[:, column])
                missing = numbers[:, column + one.width - 1] > 0 if one.indicator else np.zeros(len(numbers), bool)
                codes.append(np.where(missing, 0, binned))
            column += 0 if isinstance(one, Category | Bag) else one.width
        return codes


def plain_spec(spec: FeatureSpec) -> FeatureSpec:
    """Return the spec by which a re-ranker reads what a tower reads: values that are unseen count as missing.

    Hashed rows would give a category several codes.
    """
    inputs = (replace(one, buckets=0) if isinstance(one, Category | Bag) else one for one in spec.inputs)
    return FeatureSpec(spec.side, tuple(inputs))

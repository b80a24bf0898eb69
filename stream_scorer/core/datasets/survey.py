"""Surveys all labels and the catalog before anything is encoded: what the towers read, and what is odd about it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from stream_scorer.core.datasets.catalog_check import CatalogCheck
from stream_scorer.core.datasets.chunks import ExampleChunk
from stream_scorer.core.datasets.label_evidence import LabelSample
from stream_scorer.core.datasets.traits import RepeatCount
from stream_scorer.core.features.diagnosis import READ_AS, ReadAs
from stream_scorer.core.features.spec import FeatureSpec
from stream_scorer.core.features.stated_inputs import StatedInput
from stream_scorer.core.features.stats import FeatureStats, SpecOptions
from stream_scorer.core.messages import Offer
from stream_scorer.errors import UsageError

_NAMED_MAX = 5


@dataclass(frozen=True, slots=True)
class Survey:
    """What a training reads: the inputs of both towers, and cautions for whoever owns the data."""

    inputs: tuple[StatedInput, ...] = ()
    cautions: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Return the entries that a model's facts keep of this survey."""
        return {"inputs": [asdict(one) for one in self.inputs], "cautions": list(self.cautions)}


def asked_of(reads: Sequence[str]) -> dict[str, ReadAs]:
    """Return by side and name how features are to be read; raise UsageError when a text is not SIDE.NAME=KIND."""
    asked: dict[str, ReadAs] = {}
    for one in reads:
        place, _, kind = one.rpartition("=")
        side, _, name = place.partition(".")
        if side not in ("customer", "offer") or not name or kind not in READ_AS:
            raise UsageError(
                f"--read must be customer.NAME=KIND or offer.NAME=KIND, KIND one of {', '.join(READ_AS)}, got {one!r}"
            )
        asked[place] = READ_AS[READ_AS.index(kind)]
    return asked


class Surveyor:
    """Counts the catalog at once, and labels as they are read."""

    def __init__(self, offers: Sequence[Offer]) -> None:
        """Count the catalog."""
        self.customers, self.offers = FeatureStats("customer"), FeatureStats("offer")
        self.offers.add([offer.features for offer in offers], [offer.offer_id for offer in offers])
        self.acceptances = RepeatCount()
        self._check, self._sample = CatalogCheck(offers), LabelSample()
        self._catalog_names = {name for offer in offers for name in offer.features}
        self._label_names: set[str] = set()

    def add(self, chunk: ExampleChunk) -> None:
        """Count labels; a view counts once for each row that has it."""
        self._check.add(chunk.offers.ids, chunk.offer)
        self._sample.add(chunk)
        for stats, views, view_of in (
            (self.customers, chunk.customers, chunk.customer),
            (self.offers, chunk.offers, chunk.offer),
        ):
            stats.add(views.features, views.ids, np.bincount(view_of, minlength=len(views.ids)).tolist())
        self._label_names.update(*chunk.offers.features)
        self.acceptances.add(chunk)

    def specs(
        self, asked: Mapping[str, ReadAs], options: tuple[SpecOptions, SpecOptions], *, rows_filled: int
    ) -> tuple[FeatureSpec, FeatureSpec, Survey]:
        """Return each side's spec by its options, and the survey; `rows_filled` labels got the catalog's features.

        Raises UsageError when most labels are of offers outside the catalog, when a side has no input that varies, when
        a feature mixes kinds or lengths of vectors, and when a feature cannot be read as asked.
        """
        self._check.check()
        sides = (self.customers, self.offers)
        decided = [side.decided(asked, self._sample.evidence(side.side)) for side in sides]
        user_spec, item_spec = (
            side.spec(*each) for side, each in zip(sides, zip(options, decided, strict=True), strict=True)
        )
        cautions = [caution for each in decided for one in each.values() for caution in one.cautions]
        inputs = (*self.customers.stated(user_spec), *self.offers.stated(item_spec))
        return user_spec, item_spec, Survey(inputs, (*cautions, *self._of_labels(rows_filled)))

    def _of_labels(self, rows_filled: int) -> list[str]:
        said = self._check.cautions()
        if rows_filled:
            said.append(
                f"{rows_filled:,} of {self._check.rows:,} labels state no features of their offer: those "
                "of the catalog are taken"
            )
        if lacking := sorted(self._catalog_names - self._label_names):
            named = ", ".join(lacking[:_NAMED_MAX]) + (", …" if len(lacking) > _NAMED_MAX else "")
            said.append(
                "no label states these features of offers, which the catalog has, so that nothing is "
                f"learned of them: {named}"
            )
        return said

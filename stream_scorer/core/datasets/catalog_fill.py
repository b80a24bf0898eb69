"""Gives labels that state no features of their offer those of the catalog, the best that is known of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stream_scorer.core.datasets.chunks import ExampleChunk, ExampleSource, Views
from stream_scorer.core.messages import Offer


class FilledExamples:
    """See ExampleSource. Offers without any feature get the catalog's; what a label states stays as it is."""

    def __init__(self, examples: ExampleSource, offers: Sequence[Offer]) -> None:
        """Take the catalog's features; no example is read yet."""
        self._examples = examples
        self._catalog: Mapping[str, Mapping[str, Any]] = {
            offer.offer_id: offer.features for offer in offers if offer.features
        }
        self.rows_filled = 0  # of the latest reading

    def chunks(self) -> Iterator[ExampleChunk]:
        """See ExampleSource.chunks."""
        self.rows_filled = 0
        for chunk in self._examples.chunks():
            yield self._filled(chunk)

    def _filled(self, chunk: ExampleChunk) -> ExampleChunk:
        views = chunk.offers
        lacking = [
            not features and offer_id in self._catalog
            for offer_id, features in zip(views.ids, views.features, strict=True)
        ]
        if not any(lacking):
            return chunk
        self.rows_filled += int(np.array(lacking, bool)[chunk.offer].sum())
        features = [
            self._catalog[offer_id] if lacks else stated
            for offer_id, stated, lacks in zip(views.ids, views.features, lacking, strict=True)
        ]
        return replace(chunk, offers=Views(views.ids, features))

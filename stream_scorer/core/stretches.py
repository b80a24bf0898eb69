"""Requests and acceptances of labelled examples over time, to tell whether acceptances have gone quiet."""

import numpy as np

from stream_scorer.core.example_chunks import ExampleSource
from stream_scorer.core.label_health import Stretch


def stretches_of(examples: ExampleSource, *, length_ms: int) -> list[Stretch]:
    """Count by stretches of `length_ms` back from the newest request; the newest stretch comes first."""
    chunks = [(chunk.request, chunk.request_time_ms, chunk.accepted) for chunk in examples.chunks()]
    if not chunks:
        return []
    request, time_ms, accepted = (np.concatenate(columns) for columns in zip(*chunks, strict=True))
    _, first, which = np.unique(request, return_index=True, return_inverse=True)
    taken = np.bincount(which.reshape(-1), accepted) > 0
    stretch = (time_ms.max() - time_ms[first]) // length_ms
    requests, accepts = np.bincount(stretch), np.bincount(stretch, taken)
    return [Stretch(int(count), int(accepted)) for count, accepted in zip(requests, accepts, strict=True)]

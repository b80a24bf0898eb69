"""Writes a release as plain arrays and names, for programs that know nothing of this package."""

import json
from pathlib import Path

import numpy as np

from stream_scorer.core.features.columns import Number
from stream_scorer.core.releases.release import Release


def write_job(folder: Path, release: Release) -> None:
    """Write what `loops/plain_ranking.py` reads, so that its rankings are ours."""
    tower, catalog = release.user_tower, release.catalog
    rows = {
        slot.name: {str(value): first + 1 + place for place, value in enumerate(slot.vocabulary)}
        for slot, first in zip(tower.spec.slots, tower.spec.first_rows, strict=False)
    }
    numbers = [one.name for one in tower.spec.inputs if isinstance(one, Number)]
    offers = [
        {"offer_id": offer_id, "features": json.loads(fragment)}
        for offer_id, fragment in zip(catalog.offer_ids, catalog.fragments, strict=True)
    ]
    names = {"rows": rows, "numbers": numbers, "offers": offers, "release_id": release.release_id}
    (folder / "names.json").write_text(json.dumps(names))
    layers = {
        name: np.asarray(array, np.float32)
        for number, layer in enumerate(tower.layers)
        for name, array in ((f"weights{number}", layer.weight), (f"bias{number}", layer.bias))
    }
    np.savez(folder / "arrays.npz", **{"table": tower.table, "vectors": catalog.vectors, **layers})  # type: ignore[arg-type]

import numpy as np
import numpy.typing as npt
import pytest

from stream_scorer.adapters.redis.blobs import decode_tower, encode_tower
from stream_scorer.core.features.spec import FeatureSpec, Number
from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.towers.program_tower import ProgramTower
from stream_scorer.errors import ClosedProgram, ReleaseError


class Ones:
    """A program that gives ones."""

    data, dim = b"ones", 2

    def run(self, index: npt.NDArray[np.int64], numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        return np.ones((len(index), self.dim))


def test_closed_programs_are_told_from_damage() -> None:
    """Rankers serve a release whose item tower they cannot open, and none that is damaged."""
    release_id = ReleaseId("r-1")
    blob = encode_tower(release_id, ProgramTower.of(FeatureSpec("offer", (Number("price"),)), Ones()))
    assert decode_tower(release_id, blob, lambda _: Ones()).dim == 2
    with pytest.raises(ReleaseError) as closed:
        decode_tower(release_id, blob, None)
    assert isinstance(closed.value.__cause__, ClosedProgram)
    with pytest.raises(ReleaseError) as damaged:
        decode_tower(release_id, blob[:-9], None)
    assert not isinstance(damaged.value.__cause__, ClosedProgram)

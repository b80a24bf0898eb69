"""A bounded sample of numbers."""

import numpy as np
import pytest

from stream_scorer.core.features import number_sample
from stream_scorer.core.features.number_sample import NumberSample


def sample_of(values: "np.ndarray[tuple[int], np.dtype[np.float64]]", part: int) -> NumberSample:
    sample = NumberSample()
    for start in range(0, len(values), part):
        sample.add(values[start : start + part])
    return sample


@pytest.mark.parametrize("part", [1, 7, 100, 1_000])
def test_any_batching_keeps_the_same_sample(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_sample, "_SAMPLE_MAX", 50)
    kept = sample_of(np.arange(1_000.0), part).values
    assert len(kept) <= 50
    assert len(set(np.diff(kept).tolist())) == 1


def test_quantiles_of_a_full_sample_are_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_sample, "_SAMPLE_MAX", 400)
    found = sample_of(np.random.default_rng(0).permutation(np.arange(10_000.0)), 333).knots(4)
    assert np.allclose(found[1:4], [2_500, 5_000, 7_500], atol=600)


def test_half_equal_numbers_have_no_quartiles() -> None:
    assert sample_of(np.array([0.0] * 90 + [1.0] * 10), 100).scaling() is None

"""The demo's picture."""

from pathlib import Path

import numpy as np
import pytest

from stream_scorer.adapters.plots.acceptance import SETTLED_S, Series, _smoothed, _spans, draw_acceptance


def series(shown: list[int], accepted: list[int], *starts: float) -> Series:
    marks = [(at_s, f"release {number}") for number, at_s in enumerate(starts, 1)]
    return Series(shown, accepted, marks, best_possible=0.5, popularity=0.2)


def test_a_picture_is_a_png(tmp_path: Path) -> None:
    draw_acceptance(series([100] * 40, [25] * 20 + [40] * 20, 0.4, 20.7), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("shown", [[], [3], [0, 0, 5]])
def test_hardly_any_traffic_is_a_picture_too(tmp_path: Path, shown: list[int]) -> None:
    draw_acceptance(series(shown, [0] * len(shown), *([0.0] if shown else [])), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").exists()


def test_each_release_reaches_to_the_next() -> None:
    assert _spans(series([1] * 30, [0] * 30, 0.4, 12.9)) == [(0, 12, "release 1"), (12, 30, "release 2")]


def test_no_rate_mixes_two_releases() -> None:
    drawn = series([50] * 20 + [100] * 20, [10] * 20 + [60] * 20, 0.0, 20.0)
    seconds, rate, half = _smoothed(drawn, 20, 40)
    assert seconds.tolist() == list(range(20 + SETTLED_S, 40))
    assert np.allclose(rate, 0.6)
    assert half[-1] == pytest.approx(1.96 * np.sqrt(0.24 / 1_000))

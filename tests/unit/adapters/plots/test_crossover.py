"""The picture of the crossover."""

from pathlib import Path

from stream_scorer.adapters.plots.crossover import Crossing, draw_crossover


def test_a_picture_is_a_png(tmp_path: Path) -> None:
    costs = [Crossing(offers, share, 10.0, 5.0, 0.999) for offers in (1_000, 10_000) for share in (1.0, 0.001)]
    draw_crossover(costs, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")

"""The picture of learning."""

from pathlib import Path

from stream_scorer.adapters.plots.learning import draw_learning


def test_a_picture_is_a_png(tmp_path: Path) -> None:
    draw_learning(
        [100, 1_000],
        {"joint training": [0.6, 0.7], "popularity": [0.5, 0.5], "another": [0.4, 0.4]},
        tmp_path / "plot.png",
    )
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")

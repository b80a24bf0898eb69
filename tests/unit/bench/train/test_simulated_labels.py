"""Labels of the simulated shop in Parquet files."""

from pathlib import Path

import numpy as np
import pytest

from stream_scorer.adapters.files.example_files import ExampleFiles
from stream_scorer.bench.train import simulated_labels
from stream_scorer.bench.train.simulated_labels import draw, read_columns, write_labels
from stream_scorer.simulation.world import World

WORLD = World.of(1, customers=50, offers=20, popularity_rate=0.5)


def written(folder: Path, rows: int) -> None:
    write_labels(WORLD, np.random.default_rng(0), folder, rows=rows, places=5, start_ms=1_000)


def test_a_training_reads_all_its_rows(tmp_path: Path) -> None:
    written(tmp_path, 1_000)
    (chunk,) = ExampleFiles.at(tmp_path / "labels").chunks()
    assert (len(chunk), len(set(chunk.request.tolist()))) == (1_000, 200)
    assert set(chunk.rank.tolist()) == {1, 2, 3, 4, 5}


def test_many_rows_are_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated_labels, "FILE_ROWS", 400)
    written(tmp_path, 1_000)
    chunks = list(ExampleFiles.at(tmp_path / "labels").chunks())
    assert [len(chunk) for chunk in chunks] == [400, 400, 200]
    assert len({request for chunk in chunks for request in chunk.request.tolist()}) == 200


def test_plain_columns_are_the_rows(tmp_path: Path) -> None:
    written(tmp_path, 500)
    (chunk,) = ExampleFiles.at(tmp_path / "labels").chunks()
    customer, offer, accepted = read_columns(tmp_path / "labels")
    assert accepted.tolist() == chunk.accepted.tolist()
    assert (len(set(customer.tolist())), len(set(offer.tolist()))) == (
        len(set(chunk.customers.ids)),
        len(set(chunk.offers.ids)),
    )


def test_likely_offers_are_accepted_more_often() -> None:
    drawn = draw(WORLD, np.random.default_rng(0), 4_000, places=5)
    assert all(len(set(row)) == 5 for row in drawn.shown[:100].tolist())
    odds = WORLD.odds(drawn.customer, drawn.shown)
    assert drawn.accepted[odds > 0.5].mean() > 2 * drawn.accepted[odds < 0.1].mean()

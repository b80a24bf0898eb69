"""Quality is measured on tiny worlds: what is judged, beside what, and what is said where a library is missing."""

import numpy as np
import pytest

from stream_scorer.bench.quality import measures, references
from stream_scorer.bench.quality.measures import Measured, judged, measure_quality
from stream_scorer.bench.quality.references import at_random, own_frequency, popularity
from stream_scorer.bench.quality.report import missing_references, quality_data, quality_page
from stream_scorer.simulation.quality_worlds import (
    contexts_and_repeats,
    many_new_offers,
    price_tolerance,
    tiny_tabular,
)
from stream_scorer.training.options import TrainOptions
from stream_scorer.training.reranking.second_stage import RerankOptions

ROWS = [
    Measured("tiny tabular", "ours", "AUC within customer", 0.7, seconds=1.5),
    Measured("tiny tabular", "LightGBM", "AUC within customer", None, missing="lightgbm is not installed"),
    Measured("many new offers", "ours", "nDCG@10", 0.2, 0.1),
]


def test_the_worlds_own_odds_are_the_best() -> None:
    world = many_new_offers(0, 0.2)
    best, popular, random = (judged(world, scores) for scores in (world.truth, popularity(world), at_random(world)))
    assert best[0] > popular[0] > random[0]
    assert popular[1] == 0.0
    assert best[1] is not None
    assert best[1] > 0.1


def test_habits_make_own_frequency_strong() -> None:
    world = contexts_and_repeats(0, 0.2)
    own = own_frequency(world)
    assert own is not None
    assert judged(world, world.truth)[0] > judged(world, own)[0] > judged(world, popularity(world))[0]


def test_order_within_customers_is_judged_by_labels() -> None:
    world = tiny_tabular(0, 0.5)
    assert judged(world, world.truth)[0] > 0.65 > judged(world, at_random(world))[0] > 0.4
    assert own_frequency(world) is None


def test_ours_and_all_references_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "import_module", _missing)
    found = {one.by: one for one in measure_quality([tiny_tabular(0, 0.2)], lambda line: None)}
    assert set(found) == {"the world's odds", "ours", "random", "popularity", "logistic regression", "LightGBM"}
    assert found["ours"].value is not None
    assert found["LightGBM"].missing == "lightgbm is not installed (extra quality)"


def _missing(name: str) -> None:
    raise ImportError(name)


def test_the_page_names_missing_references() -> None:
    page = quality_page({"scale": 1.0}, ROWS)
    assert "tiny tabular (AUC within customer)\n  ours                 0.700   1.5 s" in page
    assert "new offers 0.100" in page
    assert page.endswith("missing references: LightGBM: lightgbm is not installed")


def test_the_page_states_what_stages_recover() -> None:
    values = {"the world's odds": 0.85, "ours": 0.75, "ours, two stages": 0.83, "two stages, biased log": 0.80}
    rows = [Measured("price tolerance", by, "AUC within request", value) for by, value in values.items()]
    page = quality_page({"scale": 1.0}, rows)
    assert "two stages recover 80% of what towers alone lose to the odds" in page
    assert "they keep 91% of the AUC above chance" in page
    assert "recover" not in quality_page({"scale": 1.0}, ROWS)


def test_both_logs_train_two_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "RerankOptions", lambda kind: RerankOptions("network", steps=5))
    monkeypatch.setattr(measures, "TrainOptions", lambda: TrainOptions(dim=4, width=4, epochs=1))
    monkeypatch.setattr(references, "import_module", _missing)
    world = price_tolerance(0, 0.03)
    found = {one.by: one for one in measure_quality([world], lambda line: None)}
    assert {"ours, two stages", "two stages, biased log"} < set(found)
    assert found["ours, two stages"].figure == "AUC within request"


def test_the_data_hold_every_figure() -> None:
    found = quality_data({"scale": 1.0}, ROWS)
    assert [one["value"] for one in found["quality"]] == [0.7, None, 0.2]
    assert found["missing"] == missing_references(ROWS)


def test_known_offers_stay_only_where_repeated() -> None:
    world = many_new_offers(0, 0.2)
    first_known = np.zeros(world.truth.shape)
    first_known[:, world.log.offer[world.log.customer == 0]] = 1.0
    assert judged(world, first_known)[0] < judged(world, world.truth)[0]

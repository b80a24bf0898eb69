"""Files held to each other and to a model."""

import numpy as np

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.features.spec import FeatureSpec, Number
from stream_scorer.core.messages import Offer
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.tower import Layer, Tower
from stream_scorer.errors import UsageError
from stream_scorer.services.operating.checking import FileCheck
from tests.example_samples import Chunks, chunk, snacks, tastes_meet


def said(check: FileCheck, state: str) -> list[str]:
    return [line.says for line in check.lines if line.state == state]


def tower(side: str, *names: str) -> Tower:
    spec = FeatureSpec(side, tuple(map(Number, names)))  # type: ignore[arg-type]
    return Tower(
        spec, np.zeros((0, 1), np.float32), "concat", (Layer(np.ones((2, len(names))), np.zeros(2), "linear"),)
    )


def test_labels_without_a_catalog_match_nothing() -> None:
    check = FileCheck()
    check.take_labels(tastes_meet(), ())
    assert check.is_good
    assert not [each for each in said(check, "caution") if "catalog" in each]


def test_labels_without_acceptances_cannot_train() -> None:
    customers = Views(["c", "d"], [{"x": 1.0}, {"x": 2.0}])
    check = FileCheck()
    check.take_labels(Chunks((chunk(customers, Views(["a", "b"], [{}, {}]), [(0, 0, 0), (1, 1, 0)]),)), ())
    assert any("at least 2 accepted rows, got 0" in fault for fault in said(check, "fault"))


def test_faults_at_the_end_keep_earlier_rows() -> None:
    def rows() -> "object":
        yield snacks()[0]
        raise UsageError("offers.csv, line 3: a quote is opened here and never closed")

    check = FileCheck()
    check.take_offers(rows(), now_ms=0)  # type: ignore[arg-type]
    assert said(check, "ok")[0] == "1 offers, such as 'snack-0'"
    assert "never closed" in said(check, "fault")[0]


def test_offers_lacking_model_features_are_faults() -> None:
    check = FileCheck()
    check.take_offers([Offer(offer_id="a", features={"cost": 1.0})], now_ms=0)
    check.take_model(Model("m", tower("customer", "age"), tower("offer", "price"), {}))
    assert any(
        "0 of 1 features that the model reads are in the file (price)" in fault for fault in said(check, "fault")
    )
    assert any("m reads 1 features of customers (age)" in line for line in said(check, "ok"))

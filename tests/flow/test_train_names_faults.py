"""`train` names what is odd about its data: each planted fault, and nothing where there is none."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from stream_scorer.cli import app
from stream_scorer.core.wire.codec import encode
from stream_scorer.simulation.world import World

WORLD = World.of(3, customers=100, offers=40, popularity_rate=0.5)
Rows = list[dict[str, Any]]


class Tables:
    """The offers and labels of a small world, into whose rows faults are planted."""

    def __init__(self) -> None:
        log = WORLD.log(np.random.default_rng(1), 400, start_ms=1_700_000_000_000, random_share=1.0)
        self.offers: Rows = [json.loads(encode(offer)) for offer in WORLD.offers()]
        self.labels: Rows = [json.loads(encode(example)) for example in log]

    def every(self, side: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change all features of a side, both in the labels and in the catalog."""
        for row in self.labels:
            change(row[f"{side}_features"])
        for row in self.offers if side == "offer" else []:
            change(row["features"])

    def changed(self, side: str, name: str, change: Callable[[Any], object]) -> None:
        self.every(side, lambda features: features.update({name: change(features.get(name))}))


def cents(price: float) -> int:
    return round(100 * price)


CHEAPEST = min(offer.features["price"] for offer in WORLD.offers())  # type: ignore[type-var]
CATEGORIES = sorted({str(offer.features["category"]) for offer in WORLD.offers()})


def nothing(tables: Tables) -> None:
    """Plant no fault."""


def a_price_as_text(tables: Tables) -> None:
    tables.changed("offer", "price", str)


def a_date_as_text(tables: Tables) -> None:
    tables.changed("offer", "price", lambda price: (date(2024, 1, 1) + timedelta(days=cents(price) // 100)).isoformat())


def a_sentinel(value: float) -> Callable[[Tables], None]:
    return lambda tables: tables.changed("offer", "price", lambda price: value if price == CHEAPEST else price)


def codes_as_integers(tables: Tables) -> None:
    tables.changed("offer", "category", CATEGORIES.index)


def a_constant(tables: Tables) -> None:
    tables.changed("customer", "country", lambda _: "here")


def an_always_missing_feature(tables: Tables) -> None:
    tables.changed("customer", "income", lambda _: None)


def a_leaked_label(tables: Tables) -> None:
    for row in tables.labels:
        row["offer_features"]["bought"] = row["accepted"]


def labels_without_offer_features(tables: Tables) -> None:
    for row in tables.labels:
        del row["offer_features"]


def labels_of_offers_outside_the_catalog(tables: Tables) -> None:
    tables.offers = tables.offers[:-8]


def a_field_that_nothing_reads(tables: Tables) -> None:
    for row in tables.labels:
        row["price"] = row["offer_features"]["price"]


FAULTS: dict[str, tuple[Callable[[Tables], None], str]] = {
    "clean": (nothing, ""),
    "price as text": (a_price_as_text, "offer.price: its texts are numbers"),
    "date as text": (a_date_as_text, "offer.price: its texts are dates"),
    "-999": (a_sentinel(-999), "offer.price: -999 (2 of 80) stands for a missing value"),
    "-1": (a_sentinel(-1), "offer.price: -1 (2 of 80) stands for a missing value"),
    "9999": (a_sentinel(9999), "offer.price: 9999 (2 of 80) stands for a missing value"),
    "codes": (codes_as_integers, "offer.category: its 8 whole numbers look like codes"),
    "constant": (a_constant, "customer.country is always 'here': left out"),
    "always missing": (an_always_missing_feature, "customer.income is always missing: left out"),
    "leak": (a_leaked_label, "offer.bought alone separates accepted rows from others (AUC 1.000)"),
    "no offer features": (labels_without_offer_features, "2,000 of 2,000 labels state no features of their offer"),
    "outside the catalog": (labels_of_offers_outside_the_catalog, "labels are of offers that are not in the catalog"),
    "field that nothing reads": (a_field_that_nothing_reads, "are left out (price): a feature's column is named"),
}


def trained(folder: Path, tables: Tables) -> dict[str, Any]:
    (folder / "labels.jsonl").write_text("\n".join(map(json.dumps, tables.labels)))
    (folder / "offers.jsonl").write_text("\n".join(map(json.dumps, tables.offers)))
    return run(folder, "labels.jsonl")


def run(folder: Path, labels: str, *more: str) -> dict[str, Any]:
    words = ["--labels", labels, "--offers", "offers.jsonl", "--out", "model"]
    named = [str(folder / word) if not word.startswith("--") else word for word in words]
    done = CliRunner().invoke(
        app, ["train", *named, "--epochs", "1", "--dim", "4", "--json", *more], catch_exceptions=False
    )
    facts: dict[str, Any] = json.loads(done.stdout)["facts"]
    assert all(
        sentence in done.stderr.replace("\n", " ") for sentence in facts["cautions"] if "columns that" not in sentence
    )
    return facts


@pytest.mark.parametrize(("plant", "sentence"), FAULTS.values(), ids=FAULTS)
def test_each_planted_fault_is_named(plant: Callable[[Tables], None], sentence: str, tmp_path: Path) -> None:
    tables = Tables()
    plant(tables)
    cautions = trained(tmp_path, tables)["cautions"]
    assert [sentence in caution for caution in cautions] == ([True] if sentence else [])


def test_flat_columns_of_parquet_are_named(tmp_path: Path) -> None:
    tables = Tables()
    trained(tmp_path, tables)
    flat = [
        {
            "customer_id": row["customer_id"],
            "offer_id": row["offer_id"],
            "accepted": row["accepted"],
            "age": row["customer_features"]["age"],
        }
        for row in tables.labels
    ]
    pq.write_table(pa.Table.from_pylist(flat), tmp_path / "flat.parquet")
    cautions = run(tmp_path, "flat.parquet")["cautions"]
    assert any("left out (age): a feature's column is named customer_features.NAME" in caution for caution in cautions)


def test_every_input_is_stated_with_its_kind(tmp_path: Path) -> None:
    inputs = {one["name"]: one for one in trained(tmp_path, Tables())["inputs"]}
    assert inputs["offer.price"]["kind"] == "number"
    assert inputs["customer.segment"]["distinct"] == 6
    assert 0 < inputs["customer.age"]["missing"] < 0.2
    assert "embedded" in inputs["offer.tags"]["encoding"]


def test_a_feature_is_read_as_asked(tmp_path: Path) -> None:
    tables = Tables()
    codes_as_integers(tables)
    trained(tmp_path, tables)
    facts = run(tmp_path, "labels.jsonl", "--read", "offer.category=number", "--read", "offer.brand=off")
    kinds = {one["name"]: one["kind"] for one in facts["inputs"]}
    assert kinds["offer.category"] == "number"
    assert "offer.brand" not in kinds
    assert facts["cautions"] == []
    assert facts["options"]["reads"] == ["offer.category=number", "offer.brand=off"]

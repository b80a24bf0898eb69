"""Towers trained in a real H2O give what H2O itself gives. Needs the h2o extra and Java: `make h2o`."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from stream_scorer.adapters.files.model_files import read_model
from stream_scorer.adapters.files.mojo_files import read_mojo
from stream_scorer.core.features.spec import Floats
from stream_scorer.core.releases.gate import faults_of
from stream_scorer.core.towers.h2o_network import H2oNetwork, tower_of
from stream_scorer.core.towers.tower import Tower, normalised
from stream_scorer.errors import BadModel, UsageError
from stream_scorer.services.learning.h2o_trainer import train_h2o
from stream_scorer.services.learning.publisher import draft_release
from stream_scorer.training.h2o.api import network_of
from stream_scorer.training.h2o.options import H2oOptions
from stream_scorer.training.h2o.server import h2o_server
from tests.commands import run
from tests.example_samples import Chunks, snacks, tastes_meet

pytestmark = [
    pytest.mark.h2o,
    # H2O's client leaves files open, and warns of columns that are unseen or lacking, which is what is tested
    pytest.mark.filterwarnings(
        "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::UserWarning"
    ),
]

DIFFERENCE_MAX = 1e-9
ACTIVATIONS = ("rectifier", "tanh", "maxout", "rectifier_with_dropout", "tanh_with_dropout", "maxout_with_dropout")
INPUTS = ("customer_id", "colour", "price", "rank", "score")
ENUMS = ("customer_id", "colour", "accepted")
MOJOS_END = [3, 46, 0, 12]  # from here on H2O's open edition writes none
SMALL = H2oOptions(dim=8, heap_bytes=2**30)

Row = dict[str, Any]


@pytest.fixture(scope="module")
def h2o(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with h2o_server(tmp_path_factory.mktemp("h2o"), SMALL) as connected:
        yield connected


@dataclass(frozen=True, slots=True)
class Frames:
    """Rows, and frames of them in H2O."""

    h2o: Any
    folder: Path

    def frame(self, rows: list[Row], columns: tuple[str, ...]) -> Any:
        """Import rows by a file in which an empty field is missing."""
        path = self.folder / "rows.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows([["" if row[name] is None else row[name] for name in columns] for row in rows])
        return self.h2o.import_file(
            str(path), header=1, col_types={name: "enum" if name in ENUMS else "numeric" for name in columns}
        )

    def deep(self, model: Any, rows: list[Row], columns: tuple[str, ...] = INPUTS) -> Floats:
        """Ask H2O for its deep features."""
        cells = model.deepfeatures(self.frame(rows, columns), 0).as_data_frame(use_pandas=False, header=False)
        return np.array([[float(cell) for cell in row] for row in cells])


@pytest.fixture
def frames(h2o: Any, tmp_path: Path) -> Frames:
    return Frames(h2o, tmp_path)


def known_rows(count: int = 300) -> list[Row]:
    """Draw rows with ids that look like numbers, awkward levels, and missing values of every kind."""
    rng = np.random.default_rng(0)
    colours = ("red", "d é", 'say "so"', "a,b", "back\\slash", "back\\new")
    rows: list[Row] = [
        {
            "customer_id": f"{rng.integers(20):03}",
            "colour": colours[rng.integers(len(colours))],
            "price": float(rng.normal(20, 7)),
            "rank": int(rng.integers(1, 11)),
            "score": float(rng.random()),
            "accepted": int(rng.random() < 0.4),
        }
        for _ in range(count)
    ]
    for place, name in enumerate(INPUTS):
        for row in rows[place :: 7 + place]:
            row[name] = None
    return rows


def strange_rows() -> list[Row]:
    """Return rows with unseen levels, numbers far off, and nothing at all."""
    row = {**known_rows(1)[0], "customer_id": "001", "colour": "red", "price": 5.0}
    nothing: Row = dict.fromkeys(row)
    return [
        {**row, "customer_id": "unseen"},
        {**row, "colour": "unseen"},
        {**row, "price": 1e6},
        {**row, "score": -1e6},
        nothing,
    ]


def trained(frames: Frames, **options: Any) -> Any:
    from h2o.estimators import H2ODeepLearningEstimator

    chosen = {
        "hidden": [8],
        "epochs": 1,
        "seed": 1,
        "reproducible": True,
        "categorical_encoding": "one_hot_internal",
        **options,
    }
    model = H2ODeepLearningEstimator(export_weights_and_biases=True, **chosen)
    model.train(x=list(INPUTS), y="accepted", training_frame=frames.frame(known_rows(), (*INPUTS, "accepted")))
    return model


def tower(network: H2oNetwork) -> Tower:
    return tower_of(network, side="customer", ids=("customer_id",))


def ours(made: Tower, rows: list[Row], columns: tuple[str, ...] = INPUTS) -> Floats:
    features = [{name: row[name] for name in columns if row[name] is not None} for row in rows]
    return made.outputs(made.spec.encode(features, [row.pop("customer_id", None) or "" for row in features]))


def differences(frames: Frames, model: Any, made: Tower) -> dict[str, float]:
    """Return the largest difference by kind of rows, before and after vectors are brought to length 1."""
    cases = {
        "known and missing": (known_rows(), INPUTS),
        "unseen": (strange_rows(), INPUTS),
        "no id": (known_rows(), INPUTS[1:]),
        "no colour": (known_rows(), ("customer_id", *INPUTS[2:])),
        "no rank, no score": (known_rows(), INPUTS[:3]),
    }
    found = {}
    for name, (rows, columns) in cases.items():
        mine, theirs = ours(made, rows, columns), frames.deep(model, rows, columns)
        lengths = np.linalg.norm(theirs, axis=1, keepdims=True)
        vectors = theirs / np.where(lengths > 0, lengths, 1)
        found[name] = float(
            max(np.abs(mine - theirs).max() / max(1.0, np.abs(theirs).max()), np.abs(normalised(mine) - vectors).max())
        )
    return found


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("use_all", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_outputs_are_h2os_own(
    frames: Frames, activation: str, use_all: bool, standardize: bool, record_property: Callable[[str, object], None]
) -> None:
    model = trained(frames, activation=activation, use_all_factor_levels=use_all, standardize=standardize)
    found = differences(frames, model, tower(network_of(model, version=frames.h2o.__version__)))
    record_property("differences", json.dumps(found))
    assert max(found.values()) < DIFFERENCE_MAX, found


def test_the_slot_of_missing_values_matters(frames: Frames, record_property: Callable[[str, object], None]) -> None:
    model = trained(frames, activation="tanh")
    made = tower(network_of(model, version=frames.h2o.__version__))
    table = made.table.copy()
    table[list(made.spec.first_rows[:-1])] = 0.0
    found = differences(frames, model, replace(made, table=table))
    record_property("differences", json.dumps(found))
    record_property("h2o_version", frames.h2o.__version__)
    assert min(found[name] for name in ("known and missing", "unseen", "no id", "no colour")) > 0.01


@pytest.mark.parametrize("encoding", ["binary", "eigen", "enum_limited"])
def test_encodings_that_h2o_makes_beforehand_are_refused(frames: Frames, encoding: str) -> None:
    model = trained(frames, categorical_encoding=encoding)
    with pytest.raises(BadModel, match="the categorical encoding must be one of AUTO, OneHotInternal"):
        network_of(model, version=frames.h2o.__version__)


def test_our_dot_products_are_its_cosines(frames: Frames, record_property: Callable[[str, object], None]) -> None:
    made = [tower(network_of(trained(frames, activation="tanh", seed=seed), version="")) for seed in (1, 2)]
    vectors = [normalised(ours(one, known_rows(40))) for one in made]
    names = tuple(f"v{place}" for place in range(vectors[0].shape[1]))
    users, items = (
        frames.frame([dict(zip(names, row, strict=True)) for row in each.tolist()], names) for each in vectors
    )
    cells = users.distance(items, "cosine").as_data_frame(use_pandas=False, header=False)
    difference = np.abs(np.array(cells, np.float64) - vectors[0] @ vectors[1].T).max()
    record_property("difference", float(difference))
    assert difference < DIFFERENCE_MAX


@pytest.mark.may_skip
@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("use_all", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_mojo_is_the_same_network(frames: Frames, activation: str, use_all: bool, standardize: bool) -> None:
    if [int(part) for part in frames.h2o.__version__.split(".")] >= MOJOS_END:
        pytest.skip("this H2O writes no MOJOs")
    model = trained(frames, activation=activation, use_all_factor_levels=use_all, standardize=standardize)
    path = Path(model.download_mojo(str(frames.folder / "model.zip")))
    mojo, api = read_mojo(path), network_of(model, version=frames.h2o.__version__)
    assert (mojo.categories, mojo.offsets, mojo.norm_mul, mojo.norm_sub) == (
        api.categories,
        api.offsets,
        api.norm_mul,
        api.norm_sub,
    )
    assert all(
        np.array_equal(one, other)
        for one, other in zip((*mojo.weights, *mojo.biases), (*api.weights, *api.biases), strict=True)
    )
    assert max(differences(frames, model, tower(mojo)).values()) < DIFFERENCE_MAX


def ranked_tastes() -> Chunks:
    """Return examples with ranks and scores."""
    (part,) = tastes_meet(1_000).parts
    rng = np.random.default_rng(0)
    return Chunks((replace(part, rank=rng.integers(1, 6, len(part)), score=rng.random(len(part))),))


def test_the_gate_finds_a_training_at_parity() -> None:
    model = train_h2o(ranked_tastes(), snacks(), replace(SMALL, activation="tanh"))
    facts: dict[str, Any] = model.facts
    assert facts["parity_max_difference"] < DIFFERENCE_MAX
    assert set(facts["defaults"]["user_tower"]) == {"price", "rank", "score"}
    draft = draft_release(model, snacks(), created_ms=0, embedded=lambda done: None)
    assert not [fault for fault in draft.faults if "AUC" not in fault]
    facts["golden"]["user_tower"]["outputs"][0][0] += 1e-6
    assert any(
        "the user_tower differs by up to 1e-06" in fault for fault in faults_of(model, draft.release.catalog, [])
    )


def test_equal_data_and_seed_give_one_model() -> None:
    one, other = (train_h2o(ranked_tastes(), snacks(), replace(SMALL, activation="tanh")) for _ in range(2))
    assert one.model_id == other.model_id


def test_the_command_trains_by_h2o(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with (tmp_path / "labels.jsonl").open("wb") as labels:
        for row in range(2_000):
            customer, offer = rng.integers(60), rng.integers(12)
            shown = {
                "customer_id": f"c-{customer}",
                "offer_id": f"snack-{offer}",
                "rank": row % 5 + 1,
                "request_id": str(row // 5),
            }
            accepted = int(rng.random() < (0.6 if offer % 3 == 0 else 0.1))
            labels.write(msgspec.json.encode({**shown, "score": float(0.5 - offer / 24), "accepted": accepted}) + b"\n")
    (tmp_path / "offers.jsonl").write_bytes(
        b"\n".join(msgspec.json.encode({"offer_id": offer.offer_id, "features": offer.features}) for offer in snacks())
    )
    words = [
        "--labels",
        str(tmp_path / "labels.jsonl"),
        "--offers",
        str(tmp_path / "offers.jsonl"),
        "--out",
        str(tmp_path / "model"),
    ]
    done = run("train", "--engine", "h2o", "--json", *words)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model_id"] == read_model(tmp_path / "model").model_id


def test_labels_of_one_kind_are_refused() -> None:
    (part,) = ranked_tastes().parts
    with pytest.raises(UsageError, match="H2O needs accepted rows and others"):
        train_h2o(Chunks((replace(part, accepted=part.accepted * 0),)), snacks(), SMALL)

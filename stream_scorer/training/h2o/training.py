"""Trains one tower in H2O and exports it: a classifier of `accepted`, whose hidden layer is the embedding.

H2O reads the data from CSV files in which an empty field is a missing value. Ids are replaced by codes, because H2O
could read an id as a number, trim it, or take it for missing. The tower is exported through the documented interface
(see `api`) and must reproduce H2O's outputs on golden rows.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_scorer.core.features.spec import Floats, Side
from stream_scorer.core.towers.h2o_network import tower_of
from stream_scorer.core.towers.tower import Tower
from stream_scorer.errors import BadModel, UsageError
from stream_scorer.training.h2o.api import network_of, renamed
from stream_scorer.training.h2o.options import H2oOptions

DIFFERENCE_MAX = 1e-9
_ACCEPTED, _WEIGHT = "accepted", "weight"
_GOLDEN = 12
_UNSEEN = -1


@dataclass(frozen=True, slots=True)
class H2oTable:
    """The columns (n,) that one tower learns from: `code` is each row's index in `ids`; missing numbers are NaN."""

    side: Side
    id_column: str
    ids: Sequence[str]
    code: npt.NDArray[np.int64]
    numbers: Mapping[str, Floats]
    accepted: npt.NDArray[np.int8]
    weight: Floats
    held_out: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class H2oTrained:
    """A tower, the golden rows with H2O's own outputs, and the tower's largest `difference` from these.

    `auc` is the classifier's on the held-out rows; `epochs` are those that H2O made before it stopped.
    """

    tower: Tower
    golden: dict[str, Any]
    difference: float
    auc: float
    epochs: int


def train_tower(h2o: Any, table: H2oTable, options: H2oOptions, folder: Path) -> H2oTrained:
    """Train one tower, export it, and compare it with H2O on golden rows.

    Raises UsageError when H2O cannot train on the data, and BadModel when the tower differs from H2O by more than
    DIFFERENCE_MAX or cannot be exported.
    """
    model = _trained(h2o, table, options, folder)
    codes = {_text(code): one for code, one in enumerate(table.ids)}
    network = renamed(network_of(model, version=h2o.__version__), {table.id_column: codes})
    tower = tower_of(network, side=table.side, ids=(table.id_column,))
    golden, outputs = _golden(h2o, model, table, folder)
    difference = parity(tower, golden, outputs)
    if not difference <= DIFFERENCE_MAX:
        raise BadModel(
            f"the {table.side}s' tower differs from H2O by {difference:.2g} on golden rows, at most "
            f"{DIFFERENCE_MAX} is allowed"
        )
    stored = {**golden, "outputs": outputs.tolist()}
    return H2oTrained(tower, stored, difference, float(model.auc(valid=True)), round(model.actual_params["epochs"]))


def parity(tower: Tower, golden: Mapping[str, Any], outputs: Floats) -> float:
    """Return the largest difference from H2O's outputs, before and after L2 normalisation."""
    inputs = tower.spec.encode(golden["features"], golden["ids"])
    lengths = np.linalg.norm(outputs, axis=1, keepdims=True)
    vectors = outputs / np.where(lengths > 0, lengths, 1.0)
    return float(max(np.abs(tower.outputs(inputs) - outputs).max(), np.abs(tower.forward(inputs) - vectors).max()))


def _trained(h2o: Any, table: H2oTable, options: H2oOptions, folder: Path) -> Any:
    from h2o.estimators import H2ODeepLearningEstimator
    from h2o.exceptions import H2OError

    try:
        learned, judged = (_frame(h2o, table, rows, folder) for rows in (~table.held_out, table.held_out))
        model = H2ODeepLearningEstimator(
            hidden=[options.dim],
            activation=options.activation,
            epochs=options.epochs,
            categorical_encoding="one_hot_internal",
            export_weights_and_biases=True,
            stopping_metric="AUC",
            stopping_rounds=options.stopping_rounds,
            stopping_tolerance=options.stopping_tolerance,
            seed=options.seed,
            reproducible=True,  # the same data and seed give the same towers
            variable_importances=False,
        )
        model.train(
            x=[table.id_column, *table.numbers],
            y=_ACCEPTED,
            weights_column=_WEIGHT if (table.weight != 1).any() else None,
            training_frame=learned,
            validation_frame=judged,
        )
    except (H2OError, OSError) as error:  # a failed job is an OSError
        raise UsageError(f"H2O could not train the {table.side}s' tower: {error}") from error
    return model


def _frame(h2o: Any, table: H2oTable, rows: npt.NDArray[np.bool_], folder: Path) -> Any:
    columns: dict[str, list[object]] = {
        table.id_column: [_text(code) for code in table.code[rows].tolist()],
        **{name: _cells(values[rows]) for name, values in table.numbers.items()},
        _WEIGHT: table.weight[rows].tolist(),
        _ACCEPTED: table.accepted[rows].tolist(),
    }
    return _imported(h2o, columns, table, folder)


def _imported(h2o: Any, columns: Mapping[str, Sequence[object]], table: H2oTable, folder: Path) -> Any:
    path = folder / f"{table.side}s.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    enums = (table.id_column, _ACCEPTED)
    return h2o.import_file(
        str(path), header=1, col_types={name: "enum" if name in enums else "numeric" for name in columns}
    )


def _golden(h2o: Any, model: Any, table: H2oTable, folder: Path) -> tuple[dict[str, Any], Floats]:
    """Ask H2O for its outputs (n, p) on known, unseen and missing values, and without columns; return rows and outputs.

    The rows are returned as our own encoder reads them: features and ids.
    """
    rows = _golden_rows(table)
    names = (table.id_column, *table.numbers)
    batches = (rows, names), (rows[:2], names[:1]), (rows[:2], names[1:])  # the last two lack whole columns
    features: list[dict[str, float]] = []
    ids: list[str] = []
    outputs = []
    for batch, present in batches:
        columns = {name: [_cell(row[name], is_id=name == table.id_column) for row in batch] for name in present}
        deep = model.deepfeatures(_imported(h2o, columns, table, folder), 0)
        outputs.append(
            np.array([[float(cell) for cell in row] for row in deep.as_data_frame(use_pandas=False, header=False)])
        )
        kept = [{name: row[name] for name in present} for row in batch]
        ids += [_id(row.pop(table.id_column, _UNSEEN), table) for row in kept]
        features += [{name: value for name, value in row.items() if not np.isnan(value)} for row in kept]
    return {"features": features, "ids": ids}, np.concatenate(outputs)


def _golden_rows(table: H2oTable) -> list[dict[str, float]]:
    """Return some unchanged examples, then the first again: with an unseen id, without each number, and without all."""
    chosen = np.unique(np.linspace(0, len(table.code) - 1, _GOLDEN).astype(np.int64)).tolist()
    seen = [
        {table.id_column: int(table.code[row]), **{name: float(of[row]) for name, of in table.numbers.items()}}
        for row in chosen
    ]
    first = seen[0]
    without = [{**first, name: np.nan} for name in table.numbers]
    return [*seen, {**first, table.id_column: _UNSEEN}, *without, {**first, **dict.fromkeys(table.numbers, np.nan)}]


def _id(code: float, table: H2oTable) -> str:
    return "\x00unseen" if code == _UNSEEN else table.ids[int(code)]


def _cell(value: float, *, is_id: bool) -> object:
    return _text(int(value)) if is_id else "" if np.isnan(value) else value


def _cells(values: Floats) -> list[object]:
    return ["" if value != value else value for value in values.tolist()]  # noqa: PLR0124  NaN differs from itself


def _text(code: int) -> str:
    return f"c{code}"

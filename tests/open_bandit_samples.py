"""A small log with the Open Bandit Dataset's columns, and towers that read its features."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stream_scorer.core.features.spec import Category, FeatureSpec, Number, Side
from stream_scorer.core.messages import CustomerRequest, Offer
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.tower import Layer, Tower, digest_towers

DIM = 8


def write_log(folder: Path, *, rows: int, clicks: int, items: int = 34, seed: int = 3) -> Path:
    """Write men.csv and item_context.csv; the clicks are spread evenly."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    contexts = [
        {"": item, "item_id": item, "item_feature_0": rng.normal(), **_hashes("item_feature", (1, 2, 3), rng)}
        for item in range(items)
    ]
    _write(folder / "item_context.csv", contexts)
    clicked = set(np.linspace(0, rows - 1, clicks).astype(int).tolist())
    _write(folder / "men.csv", [_row(number, items, rng, click=number in clicked) for number in range(rows)])
    return folder


def _row(number: int, items: int, rng: np.random.Generator, *, click: bool) -> dict[str, object]:
    day, second = divmod(number * 60, 86_400)
    clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{number % 1_000_000:06}"
    stamp = f"2019-11-{24 + day:02}T{clock}+00:00".replace("T", " ")
    return {
        "": number, "timestamp": stamp, "item_id": rng.integers(items), "position": rng.integers(1, 4),
        "click": int(click),
        "propensity_score": 1 / items, **_hashes("user_feature", (0, 1, 2, 3), rng),
        **{f"user-item_affinity_{item}": float(rng.integers(3)) for item in range(items)},
    }  # fmt: skip


def _hashes(name: str, places: Sequence[int], rng: np.random.Generator) -> dict[str, object]:
    return {f"{name}_{place}": f"{int(rng.integers(5)):032x}" for place in places}


def _write(path: Path, rows: Sequence[dict[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def made_up_model(requests: Sequence[CustomerRequest], offers: Sequence[Offer]) -> Model:
    """Return towers of random weights over all features of both sides: enough to rank by, nothing learned."""
    user = _tower("customer", [request.features for request in requests], seed=1)
    item = _tower("offer", [offer.features for offer in offers], seed=2)
    return Model(digest_towers(user, item), user, item, {"note": "made up"})


def _tower(side: Side, features: Sequence[Mapping[str, Any]], *, seed: int) -> Tower:
    rng = np.random.default_rng(seed)
    inputs: list[Number | Category] = []
    for name in features[0]:
        values = [row[name] for row in features]
        inputs.append(
            Number(name) if isinstance(values[0], float) else Category(name, tuple(sorted(set(values))), buckets=4)
        )
    spec = FeatureSpec(side, tuple(inputs))
    table = rng.normal(size=(spec.table_rows, 4)).astype(np.float32)
    width = 4 * len(spec.slots) + spec.numbers
    return Tower(spec, table, "concat", (Layer(rng.normal(size=(DIM, width)), rng.normal(size=DIM)),))

"""The reference job: eight features per customer, five per offer, and two towers that embed four categories each."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from stream_scorer.core.features.spec import Category, FeatureSpec, Number, Side
from stream_scorer.core.messages import Features, Offer, OfferId
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.tower import Layer, Tower, digest_towers

START_MS = 1_763_900_000_000
DIM, HIDDEN, EMBEDDED = 64, 128, 16
VALUES = 50
CUSTOMER_TEXTS, CUSTOMER_NUMBERS = ("segment", "city", "device", "plan"), ("age", "income", "tenure", "visits")
OFFER_TEXTS, OFFER_NUMBERS = ("category", "brand", "shape", "colour"), ("price",)


def model(seed: int = 1) -> Model:
    """Return towers of random weights, which take as much work as trained ones."""
    rng = np.random.default_rng(seed)
    user, item = (
        _tower("customer", CUSTOMER_TEXTS, CUSTOMER_NUMBERS, rng),
        _tower("offer", OFFER_TEXTS, OFFER_NUMBERS, rng),
    )
    return Model(digest_towers(user, item), user, item, {"note": "random weights, for measuring"})


def _tower(side: Side, texts: Sequence[str], numbers: Sequence[str], rng: np.random.Generator) -> Tower:
    vocabulary = tuple(f"value {number}" for number in range(VALUES))
    spec = FeatureSpec(
        side, (*(Category(name, vocabulary, buckets=16) for name in texts), *(Number(name) for name in numbers))
    )
    table = rng.normal(size=(spec.table_rows, EMBEDDED)).astype(np.float32)
    width = EMBEDDED * len(texts) + len(numbers)
    layers = (_layer(width, HIDDEN, "relu", rng), _layer(HIDDEN, DIM, "linear", rng))
    return Tower(spec, table, "concat", layers)


def _layer(width: int, units: int, activation: str, rng: np.random.Generator) -> Layer:
    return Layer(rng.normal(size=(units, width)) / np.sqrt(width), np.zeros(units), activation)  # type: ignore[arg-type]


def offers(count: int, seed: int = 2) -> list[Offer]:
    """Return a catalog of random offers."""
    rng = np.random.default_rng(seed)
    return [
        Offer(offer_id=OfferId(f"offer-{number}"), features=_features(OFFER_TEXTS, OFFER_NUMBERS, rng))
        for number in range(count)
    ]


def requests(count: int, seed: int = 3) -> list[bytes]:
    """Return requests of about 300 bytes; request n is of customer n, so that a ranking's key says which it answers."""
    return [msgspec.json.encode(fields) for fields in request_fields(count, seed)]


def request_fields(count: int, seed: int = 3) -> list[dict[str, Any]]:
    """Return the fields of `requests`, in their order."""
    rng = np.random.default_rng(seed)
    kinds = [_features(CUSTOMER_TEXTS, CUSTOMER_NUMBERS, rng) for _ in range(997)]
    return [_request(number, kinds[number % len(kinds)]) for number in range(count)]


def _request(number: int, features: Mapping[str, object]) -> dict[str, Any]:
    context = {
        "page": "home",
        "session": f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}",
        "recent": ["offer-1", "offer-2", "offer-3"],
    }
    return {
        "request_id": f"request-{number:09}",
        "customer_id": str(number),
        "event_time_ms": START_MS + number,
        "features": {**features, **context},
        "limit": 10,
    }


def _features(texts: Sequence[str], numbers: Sequence[str], rng: np.random.Generator) -> Features:
    return {
        **{name: f"value {rng.integers(VALUES)}" for name in texts},
        **{name: round(float(rng.normal()), 3) for name in numbers},
    }


def warm_up() -> bytes:
    """Return a request that no measurement counts."""
    return msgspec.json.encode({**_request(0, dict.fromkeys(CUSTOMER_TEXTS, "value 1")), "customer_id": "warm-up"})

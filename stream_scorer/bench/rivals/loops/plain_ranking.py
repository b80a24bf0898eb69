"""The job as one would write it without this package: no validation, filters, metrics or dead letters."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

Fields = dict[str, Any]


class PlainRanking:
    """Ranks requests by the arrays and names in a folder; see `job_folder.py`, which writes them."""

    def __init__(self, folder: str) -> None:
        """Load everything."""
        names = json.loads((Path(folder) / "names.json").read_text())
        self._texts: dict[str, dict[str, int]] = names["rows"]
        self._numbers: list[str] = names["numbers"]
        self._offers: list[Fields] = names["offers"]
        self._release_id: str = names["release_id"]
        with np.load(Path(folder) / "arrays.npz") as arrays:
            self._table, self._vectors = arrays["table"], arrays["vectors"]
            self._layers = [(arrays[f"weights{number}"], arrays[f"bias{number}"]) for number in (0, 1)]

    def rank(self, request: Fields) -> Fields:
        """Return the ranking of one request."""
        return self.rank_all([request])[0]

    def rank_all(self, requests: list[Fields]) -> list[Fields]:
        """Return the rankings of B requests."""
        scores = self._embed([request["features"] for request in requests]) @ self._vectors.T  # (B, N)
        return [self._ranking(request, row) for request, row in zip(requests, scores, strict=True)]

    def _embed(self, features: list[Fields]) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
        rows = [[known[each[name]] for name, known in self._texts.items()] for each in features]
        numbers = np.array([[each[name] for name in self._numbers] for each in features], np.float32)
        inputs = np.concatenate([self._table[np.array(rows)].reshape(len(features), -1), numbers], axis=1)
        (first, first_bias), (second, second_bias) = self._layers
        hidden = np.maximum(inputs @ first.T + first_bias, 0)
        vectors = hidden @ second.T + second_bias
        embedded: np.ndarray[tuple[int, int], np.dtype[np.float32]] = vectors / np.linalg.norm(
            vectors, axis=1, keepdims=True
        )
        return embedded

    def _ranking(self, request: Fields, scores: "np.ndarray[tuple[int], np.dtype[np.float32]]") -> Fields:
        limit = min(request["limit"], len(scores))
        best = np.argpartition(-scores, limit - 1)[:limit]
        best = best[np.argsort(-scores[best])]
        offers = [
            {**self._offers[place], "rank": rank, "score": float(scores[place]), "propensity": 1.0}
            for rank, place in enumerate(best.tolist(), 1)
        ]
        return {
            "request_id": request["request_id"],
            "customer_id": request["customer_id"],
            "event_time_ms": request["event_time_ms"],
            "release_id": self._release_id,
            "status": "ranked",
            "eligible_count": len(scores),
            "excluded": {},
            "features": request["features"],
            "offers": offers,
        }


def described() -> Fields:
    """Return what the process's argument says: `servers`, `source`, `target`, `group`, `folder`, `exactly_once`."""
    words: Fields = json.loads(sys.argv[1])
    return words

"""A model, which training writes and publish reads."""

import hashlib
import json
from dataclasses import dataclass

import numpy as np

from stream_scorer.core.towers.reranker import Reranker
from stream_scorer.core.towers.tower import Tower, digest_towers
from stream_scorer.errors import BadModel


@dataclass(frozen=True, slots=True)
class Model:
    """The two towers of a training, a re-ranker where it has one, and facts about the training.

    `model_id` is a digest of all but the facts.
    """

    model_id: str
    user_tower: Tower
    item_tower: Tower
    facts: dict[str, object]
    reranker: Reranker | None = None


def model_of_towers(user: Tower, item: Tower, facts: dict[str, object]) -> Model:
    """Return a model of two towers, with its id. Raises BadModel for towers whose vectors differ in length."""
    if user.dim != item.dim:
        raise BadModel(f"customers' vectors have {user.dim} numbers, offers' {item.dim}")
    return Model(digest_towers(user, item), user, item, facts)


def digest_model(user: Tower, item: Tower, reranker: Reranker | None) -> str:
    """Return the id of a model; without a re-ranker it is that of the towers, as it was before there were any."""
    towers = digest_towers(user, item)
    if reranker is None:
        return towers
    digest = hashlib.sha256(towers.encode())
    digest.update(json.dumps(reranker.structure(), sort_keys=True).encode())
    for name, array in sorted(reranker.tensors().items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return f"m-{digest.hexdigest()[:16]}"

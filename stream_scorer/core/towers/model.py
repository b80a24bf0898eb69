"""A model, which training writes and publish reads."""

from dataclasses import dataclass

from stream_scorer.core.towers.tower import Tower, digest_towers
from stream_scorer.errors import BadModel


@dataclass(frozen=True, slots=True)
class Model:
    """The two towers of a training, and facts about the training; `model_id` is a digest of the towers."""

    model_id: str
    user_tower: Tower
    item_tower: Tower
    facts: dict[str, object]


def model_of_towers(user: Tower, item: Tower, facts: dict[str, object]) -> Model:
    """Return a model of two towers, with its id. Raises BadModel for towers whose vectors differ in length."""
    if user.dim != item.dim:
        raise BadModel(f"customers' vectors have {user.dim} numbers, offers' {item.dim}")
    return Model(digest_towers(user, item), user, item, facts)

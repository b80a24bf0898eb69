"""A model: the two towers of one training, and the facts about it."""

from dataclasses import dataclass

from stream_scorer.core.towers.tower import Tower, digest_towers
from stream_scorer.errors import BadModel


@dataclass(frozen=True, slots=True)
class Model:
    """What training writes: the two towers of one training, and the facts about it."""

    model_id: str
    user_tower: Tower
    item_tower: Tower
    facts: dict[str, object]


def model_of_towers(user: Tower, item: Tower, facts: dict[str, object]) -> Model:
    """Return a model of two towers. Raises BadModel for towers of unequal dimensions."""
    if user.dim != item.dim:
        raise BadModel(f"customers' vectors have {user.dim} numbers, offers' {item.dim}")
    return Model(digest_towers(user, item), user, item, facts)

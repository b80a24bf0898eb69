"""Makes a model from two networks of H2O: the towers, the values of missing numbers, and the facts about it."""

from collections.abc import Mapping

from stream_scorer.core.releases.gate import check_model
from stream_scorer.core.towers.h2o_network import (
    H2oNetwork,
    check_not_dead,
    defaults_of,
    probes,
    tower_of,
    with_defaults,
)
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.tower import Tower, digest_towers
from stream_scorer.errors import UsageError

CUSTOMER_COLUMNS = ("customer_id",)
OFFER_COLUMNS = ("offer_id", "offer")


def model_of(
    user: H2oNetwork,
    item: H2oNetwork,
    *,
    customer_columns: tuple[str, ...] = CUSTOMER_COLUMNS,
    offer_columns: tuple[str, ...] = OFFER_COLUMNS,
    layer: int = 0,
    defaults: Mapping[str, float] | None = None,
) -> Model:
    """Return the model whose vectors are the networks' deep features of `layer`, L2-normalised.

    `defaults` gives, by name, the value of a number that a record does not state, in both towers. Other numbers count
    as in H2O: as their mean in training, or as 0 where H2O did not standardise them.

    Raises UsageError for a default of a number that neither tower reads. Raises BadModel for a network that cannot be
    reproduced, for towers of unequal dimensions, and for a tower whose vectors are all zero.
    """
    towers = (
        tower_of(user, side="customer", ids=customer_columns, layer=layer),
        tower_of(item, side="offer", ids=offer_columns, layer=layer),
    )
    if unread := set(defaults or ()) - {name for tower in towers for name in defaults_of(tower)}:
        raise UsageError(f"neither tower reads a number named {', '.join(sorted(unread))}")
    user_tower, item_tower = (_with_own(tower, defaults or {}) for tower in towers)
    zero = {
        name: check_not_dead(name, tower, *probes(tower))
        for name, tower in (("user tower", user_tower), ("item tower", item_tower))
    }
    model = Model(
        digest_towers(user_tower, item_tower), user_tower, item_tower, _facts(user, user_tower, item_tower, layer, zero)
    )
    check_model(model)
    return model


def _with_own(tower: Tower, defaults: Mapping[str, float]) -> Tower:
    return with_defaults(tower, {name: value for name, value in defaults.items() if name in defaults_of(tower)})


def _facts(
    network: H2oNetwork, user_tower: Tower, item_tower: Tower, layer: int, zero: Mapping[str, int]
) -> dict[str, object]:
    return {
        "engine": "h2o",
        "h2o_version": network.version,
        "activation": network.activation,
        "layer": layer,
        "defaults": {"user_tower": defaults_of(user_tower), "item_tower": defaults_of(item_tower)},
        "zero_probes": dict(zero),
    }

"""What a policy earns in a simulated world, by the odds that only the world knows."""

import numpy as np

from stream_scorer.core.evaluation.policies import ModelPolicy, Pool, drawn
from stream_scorer.core.towers.model import Model
from stream_scorer.simulation.world import World, customer_id, examination

DRAWS = 400  # rankings a customer


def truth(world: World, model: Model, policy: ModelPolicy, *, places: int) -> float:
    """Return the mean acceptances per ranking."""
    rng = np.random.default_rng(4)
    customers, offers = np.repeat(np.arange(len(world.tastes)), DRAWS), world.offers()
    users = model.user_tower.embed(
        world.customer_features, [customer_id(row) for row in range(len(world.tastes))]
    ).vectors
    items = model.item_tower.embed([offer.features for offer in offers], [offer.offer_id for offer in offers]).vectors
    pool, placed = Pool((users @ items.T)[customers], policy), []
    for _ in range(places):
        placed.append(drawn(pool.choices(), rng.random(len(customers))))
        pool.remove(placed[-1])
    return float((world.odds(customers, np.stack(placed, axis=1)) * examination(places)).sum(axis=1).mean())

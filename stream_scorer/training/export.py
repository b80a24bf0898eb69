"""Exports trained modules as a model that can serve, and checks the numpy towers against torch.

Table rows that no example used are filled with the mean of the used rows of their slot.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.datasets.training_set import EncodedSide, side_of
from stream_scorer.core.evaluation.agreement import Vectors, agreement
from stream_scorer.core.features.spec import FeatureSpec
from stream_scorer.core.releases.gate import COLLAPSED_COSINE
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.tower import Tower, digest_towers
from stream_scorer.errors import BadModel
from stream_scorer.training.lesson import Fitted
from stream_scorer.training.towers.batches import Batch
from stream_scorer.training.towers.tower_module import TowerModule

PARITY_MAX = 1e-5
_GOLDEN = 16
_SAMPLE = 1_000
REMEDY = "more rows with both labels, features that vary, or another --objective or --temperature may help"


def export(
    fitted: Fitted, customers: EncodedSide, offers: EncodedSide, catalog: EncodedSide, facts: Mapping[str, object]
) -> Model:
    """Return the model with its `facts`, to which two are added.

    `parity_max_difference` is the largest difference between numpy and torch, `order_agreement` how far the model ranks
    alike for all customers. Raises BadModel when the difference is above PARITY_MAX, when a tower is dead, or when the
    offers' vectors have collapsed.
    """
    fitted.user.cpu()
    fitted.item.cpu()
    for module, seen in ((fitted.user, (customers,)), (fitted.item, (offers, catalog))):
        module.settle()
        fill_untrained(module, seen)
    user_tower, item_tower = fitted.user.export(), fitted.item.export()
    differences = {
        "user_tower": parity(fitted.user, user_tower, golden_rows(customers, user_tower.spec)),
        "item_tower": parity(fitted.item, item_tower, golden_rows(catalog, item_tower.spec)),
    }
    for name, difference in differences.items():
        # "not <=" rather than ">": a difference of NaN must fail, too.
        if not difference <= PARITY_MAX:
            raise BadModel(
                f"the {name} differs from torch by {difference:.2g} on golden rows, at most {PARITY_MAX} is allowed"
            )
    users = sample_vectors("user_tower", user_tower, customers)
    items = sample_vectors("item_tower", item_tower, catalog)
    check_apart(items)
    measured = {"parity_max_difference": max(differences.values()), "order_agreement": agreement(users, items)}
    return Model(digest_towers(user_tower, item_tower), user_tower, item_tower, {**facts, **measured})


def fill_untrained(module: TowerModule, seen: Sequence[EncodedSide]) -> None:
    """Fill table rows that no example used with the mean of their slot's used rows, weighted by use.

    An unseen value then counts as an average one.
    """
    counts = sum(
        (np.bincount(side.rows, minlength=module.spec.table_rows) for side in seen), np.zeros(module.spec.table_rows)
    )
    table = module.table.detach().numpy()
    for first, end in zip(module.spec.first_rows[:-1], module.spec.first_rows[1:], strict=True):
        weight = counts[first:end, None]
        if weight.any():
            mean = (table[first:end] * weight).sum(axis=0) / weight.sum()
            table[first:end] = np.where(weight > 0, table[first:end], mean)


def golden_rows(side: EncodedSide, spec: FeatureSpec) -> EncodedSide:
    """Return examples for the comparison: some from `side`, one with unseen values, and one with every value missing.

    These two take branches of the encoding that examples from training may never reach.
    """
    chosen = np.unique(np.linspace(0, len(side) - 1, _GOLDEN).astype(np.int64))
    unseen: dict[str, Any] = {
        slot.name: ["\x00unseen"] if type(slot).__name__ == "Bag" else "\x00unseen" for slot in spec.slots
    }
    made, _ = side_of(spec, Views(["\x00unseen", "\x00missing"], [unseen, {}]))
    rows, starts = side.segments(chosen)
    return replace(
        side,
        rows=np.concatenate([rows, made.rows]),
        starts=np.concatenate([starts[:-1], made.starts + len(rows)]),
        numbers=np.concatenate([side.numbers[chosen], made.numbers]),
    )


def parity(module: TowerModule, tower: Tower, golden: EncodedSide) -> float:
    """Return the largest absolute difference between the vectors of torch and of numpy."""
    everything = np.arange(len(golden))
    with torch.no_grad():
        ours = module(Batch.of(golden, everything)).numpy()
    return float(np.abs(tower.forward(golden.inputs(everything)) - ours).max())


def sample_vectors(name: str, tower: Tower, side: EncodedSide) -> Vectors:
    """Return the vectors of at most 1,000 of a side's examples. Raises BadModel where some are not finite or zero."""
    chosen = np.unique(np.linspace(0, len(side) - 1, _SAMPLE).astype(np.int64))
    vectors = tower.forward(side.inputs(chosen))
    if not np.isfinite(vectors).all():
        raise BadModel(f"the {name} gives vectors that are not finite")
    if dead := int((~vectors.any(axis=1)).sum()):
        raise BadModel(f"the {name} is dead: {dead} of {len(vectors)} vectors are zero")
    return vectors


def check_apart(offers: Vectors) -> None:
    """Raise BadModel when all of the offers' vectors are nearly alike, so that no order could be trusted."""
    # The length of the mean of unit vectors is their mean cosine with its direction: no pair needs to be computed.
    cosine = float(np.linalg.norm(offers.mean(axis=0)))
    if len(offers) > 1 and cosine > COLLAPSED_COSINE:
        raise BadModel(
            f"the item_tower has collapsed: its vectors' mean has length {cosine:.6f}, at most "
            f"{COLLAPSED_COSINE} is allowed; {REMEDY}"
        )

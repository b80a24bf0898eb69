"""A bag of offers accepted before shares the rows of the offers' ids."""

from typing import cast

import numpy as np
import torch

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.datasets.training_set import side_of
from stream_scorer.core.features.spec import Bag, Category, FeatureSpec, Number
from stream_scorer.training.towers.batches import Batch
from stream_scorer.training.towers.tied_bag import tied_bag
from stream_scorer.training.towers.tower_module import TowerModule

BAG = Bag("accepted_before", ("a", "b", "gone"), buckets=4)
USER = FeatureSpec("customer", (Category("day", ("mon", "tue")), BAG))
ITEM = FeatureSpec("offer", (Category("offer_id", ("b", "a"), 4, from_id=True), Number("price", 0.0, 1.0)))


def towers(**options: int) -> tuple[TowerModule, TowerModule]:
    torch.manual_seed(0)
    hidden = (options["hidden"],) if options else ()
    user, item = (TowerModule(spec, width=16, hidden=hidden, dim=32, id_spread=1.0) for spec in (USER, ITEM))
    return user, item


def test_accepted_offers_point_to_themselves_untrained() -> None:
    user, item = towers()
    user.tied = tied_bag(user, item)
    user.settle()
    asked = user.export().embed([{"accepted_before": [offer] * 3} for offer in ("a", "b")], ["x", "y"]).vectors
    offers = item.export().embed([{"price": 0.0}] * 2, ["a", "b"]).vectors
    assert np.argmax(asked @ offers.T, axis=1).tolist() == [0, 1]


def test_settled_towers_give_what_tied_ones_did() -> None:
    user, item = towers()
    user.tied = tied_bag(user, item)
    examples, _ = side_of(
        USER, Views(["x"] * 3, [{"accepted_before": ["a", "gone"], "day": "tue"}, {}, {"day": "mon"}])
    )
    batch = Batch.of(examples, np.arange(3))
    tied = user(batch).detach()
    user.settle()
    assert user.tied is None
    assert torch.equal(user(batch).detach(), tied)


def test_the_gain_weighs_the_bag_alone() -> None:
    user, item = towers()
    tie = tied_bag(user, item)
    assert tie is not None
    own, offers = (cast("torch.nn.Linear", module.layers[0]).weight for module in (user, item))
    tie.gain.data.fill_(2.0)
    assert torch.equal(tie.weight(own)[:, 16:], 2.0 * offers[:, :16])
    assert torch.equal(tie.weight(own)[:, :16], own[:, :16])


def test_the_bag_leaves_a_fixed_output() -> None:
    user, item = towers()
    for module in (user, item):
        module.begin_additive()
    user.tied = tied_bag(user, item)
    with torch.no_grad():
        cast("torch.nn.Linear", item.layers[0]).weight.fill_(1.0)
    examples, _ = side_of(USER, Views(["x"], [{"accepted_before": ["a", "b"]}]))
    outputs = user.outputs(Batch.of(examples, np.arange(1))).detach()[0]
    assert (float(outputs[0]), abs(float(outputs[2])) > 0.1) == (1.0, True)


def test_unknown_offers_keep_rows_of_their_own() -> None:
    user, item = towers()
    before = user.table.detach().clone()
    user.tied = tied_bag(user, item)
    user.settle()
    first = USER.first_rows[1] + 1
    assert torch.equal(user.table.detach()[first : first + 2], item.table.detach()[[2, 1]])
    assert torch.equal(user.table.detach()[first + 2 :], before[first + 2 :])


def test_towers_of_another_form_are_not_tied() -> None:
    user, item = towers(hidden=8)
    assert tied_bag(user, item) is None
    user, item = towers()
    assert tied_bag(item, user) is None

"""A bag of offers in the user tower that shares its rows and weights with the offers' ids in the item tower."""

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from stream_scorer.core.datasets.accepted_before import ACCEPTED_BEFORE
from stream_scorer.core.features.slots import Bag, Category

if TYPE_CHECKING:
    from stream_scorer.training.towers.tower_module import TowerModule

_GAIN = 3.0  # how far the mean of the accepted offers reaches at first, beside the other inputs


class TiedBag(nn.Module):
    """The table rows and the weights of a bag in the user tower, as the item tower has them for the offers' ids.

    With rows of its own, a bag is a fingerprint by which training knows its customers again, and nothing of it carries
    over to others. With the offers' rows, an accepted offer points to itself from the start (as in Kabbur et al. 2013,
    doi:10.1145/2487575.2487589, whose two tables are one here).
    """

    shared: Tensor
    row: Tensor

    def __init__(self, user: "TowerModule", item: "TowerModule", bag: int, ids: int) -> None:
        """Tie slot `bag` of the user tower to slot `ids` of the item tower; neither has hidden layers."""
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(_GAIN))
        self._fixed = user.fixed
        self._item = (item,)  # in a tuple: as a submodule, the item tower would be trained and saved twice
        width = user.table.shape[1]
        self._columns, self._item_columns = (slice(slot * width, (slot + 1) * width) for slot in (bag, ids))
        row = np.full(user.spec.table_rows, -1, np.int64)
        places = {value: place for place, value in enumerate(item.spec.slots[ids].vocabulary)}
        first, first_item = user.spec.first_rows[bag] + 1, item.spec.first_rows[ids] + 1
        for place, offer in enumerate(user.spec.slots[bag].vocabulary):
            if offer in places:
                row[first + place] = first_item + places[offer]
        self.register_buffer("shared", torch.from_numpy(row >= 0)[:, None], persistent=False)
        self.register_buffer("row", torch.from_numpy(np.maximum(row, 0)), persistent=False)

    def table(self, table: Tensor) -> Tensor:
        """Return the user tower's table (rows, width), in which known offers of the bag have the item tower's rows."""
        return torch.where(self.shared, self._item[0].table.to(table.device)[self.row], table)

    def weight(self, weight: Tensor) -> Tensor:
        """Return the user tower's weights (p, inputs), in which the bag has the item tower's, times the gain.

        An output that is fixed gets nothing from the bag.
        """
        offers = cast("nn.Linear", self._item[0].layers[0]).weight.to(weight.device)[:, self._item_columns]
        if self._fixed is not None:
            # By slices: an index would be copied from the host, which a recorded step cannot do.
            offers = torch.cat([offers[: self._fixed], torch.zeros_like(offers[:1]), offers[self._fixed + 1 :]])
        return torch.cat([weight[:, : self._columns.start], self.gain * offers, weight[:, self._columns.stop :]], dim=1)


def tied_bag(user: "TowerModule", item: "TowerModule") -> TiedBag | None:
    """Return the tie of the bag `accepted_before` to the offers' ids, None where towers lack one, or differ in form."""
    if len(user.layers) != 1 or len(item.layers) != 1:
        return None
    bags = [at for at, one in enumerate(user.spec.slots) if isinstance(one, Bag) and one.name == ACCEPTED_BEFORE]
    ids = [at for at, one in enumerate(item.spec.slots) if isinstance(one, Category) and one.from_id]
    return TiedBag(user, item, bags[0], ids[0]) if bags and ids else None

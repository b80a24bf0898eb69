"""What a training is given, and what it returns, whichever way it learns."""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch

from stream_scorer.core.datasets.splits import split_by_time, split_for_ids, without_some_offers
from stream_scorer.core.datasets.survey import Survey
from stream_scorer.core.datasets.training_set import Places, TrainingSet
from stream_scorer.core.datasets.traits import LogTraits, traits_of
from stream_scorer.core.features.slots import Category
from stream_scorer.core.features.spec import FeatureSpec
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.tower import Tower
from stream_scorer.errors import UsageError
from stream_scorer.training.objective import AcceptanceHead
from stream_scorer.training.options import Device, Recipe, TrainOptions
from stream_scorer.training.towers.tower_module import TowerModule
from stream_scorer.training.warm_start import shape_of


@dataclass(frozen=True)
class Lesson:
    """What a training learns from: rows, the specs that encoded them, and the earlier model that it starts from.

    A search trains on one lesson many times, so what follows from the rows is worked out once.
    """

    data: TrainingSet
    user_spec: FeatureSpec
    item_spec: FeatureSpec
    earlier: Model | None = None
    survey: Survey = field(default_factory=Survey)
    # Share of the catalog's offers whose rows are not learned from, so that held-out rows judge them as new.
    as_new: float = 0.0
    _splits: dict[tuple[bool, float], tuple[Places, Places]] = field(default_factory=dict, init=False, repr=False)

    def recipe(self, options: TrainOptions) -> Recipe:
        """Complete the options; the labels decide the objective, and an earlier model, if any, decides the shape.

        Raises UsageError when the objective or the options do not suit the labels.
        """
        if self.earlier is not None:
            # The vectors of an earlier ensemble are already the concatenation of its members'
            options = replace(options, **shape_of(self.earlier.user_tower), members=1)
        return options.recipe(self.traits, ids_alone=self.ids_alone, goes_on=self.earlier is not None)

    @cached_property
    def traits(self) -> LogTraits:
        """Size and shape of the log."""
        return traits_of(self.data)

    @property
    def ids_alone(self) -> bool:
        """Whether both towers read a single categorical input, such as an id, and nothing else."""
        return all(len(spec.slots) == 1 and not spec.numbers for spec in (self.user_spec, self.item_spec))

    def split(self, recipe: Recipe) -> tuple[Places, Places]:
        """Return the rows to learn from and the rows to hold out."""
        by_id = any(isinstance(slot, Category) and slot.from_id for slot in self.user_spec.slots)
        within = recipe.objective == "catalog" and by_id
        if (key := (within, recipe.held_out)) not in self._splits:
            self._splits[key] = self._split(*key)
        return self._splits[key]

    def _split(self, within: bool, share: float) -> tuple[Places, Places]:
        rows, held_out = (split_for_ids if within else split_by_time)(self.data, share)
        return (without_some_offers(self.data, rows, self.as_new) if self.as_new else rows), held_out


@dataclass(frozen=True, slots=True)
class Epoch:
    """How pass `number` of at most `epochs` over the rows went; held-out figures are None where they are not measured.

    `held_out_auc` is the AUC within customers. For the objective `catalog`, `held_out_ndcg` is the nDCG@10 of rankings
    of the whole catalog, and `held_out_ndcg_error` its standard error.
    """

    number: int
    epochs: int
    loss: float
    held_out_loss: float | None = None
    held_out_auc: float | None = None
    held_out_ndcg: float | None = None
    held_out_ndcg_error: float = 0.0

    @property
    def badness(self) -> float:
        """The figure by which epochs are compared, the smallest being the best; infinite when nothing is held out."""
        if self.held_out_ndcg is not None:  # the loss would mislead: it rises while the order still improves
            return -self.held_out_ndcg
        return float("inf") if self.held_out_loss is None else self.held_out_loss


@dataclass(frozen=True, slots=True)
class Fitted:
    """Trained modules with their recipe, all epochs, the number of the `best` epoch, and the rows that were held out.

    Where the modules were trained again on all rows, `measured` are the towers from before that, of one ensemble
    member: they have not seen the held-out rows, so these can judge them.
    """

    user: TowerModule
    item: TowerModule
    head: AcceptanceHead
    recipe: Recipe
    epochs: tuple[Epoch, ...]
    best: int
    held_out: Places
    measured: tuple[Tower, Tower] | None = None

    @property
    def best_epoch(self) -> Epoch:
        """The epoch whose weights were kept."""
        return self.epochs[self.best - 1]


def tower_of(module: TowerModule) -> Tower:
    """Return a module's present weights as the tower that serves."""
    module.cpu().settle()
    return module.export()


def device_of(device: Device) -> torch.device:
    """Return where to train. Raises UsageError when a GPU is asked for and torch sees none."""
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise UsageError("device must be cpu or auto here, got cuda: there is no GPU that torch can use")
    return torch.device("cuda" if there and device != "cpu" else "cpu")


def memory_free(device: torch.device) -> float:
    """Return the bytes that are free on a GPU; no bound is known for a CPU."""
    return float(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else math.inf


def limit_threads(recipe: Recipe) -> None:
    """Give torch the recipe's number of threads; 0 lets it decide."""
    if recipe.threads:
        torch.set_num_threads(recipe.threads)

"""The options of a training, and the recipe that they become once the data is known."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from stream_scorer.core.datasets.accepted_before import ACCEPTED_BEFORE_MAX
from stream_scorer.core.datasets.traits import HABITS_MIN, LogTraits
from stream_scorer.errors import UsageError

Objective = Literal["auto", "shown", "catalog", "separate"]
Device = Literal["auto", "cpu", "cuda"]
Switch = Literal["auto", "on", "off"]

BEGAN_WITH = "began_with"  # a fact of a model that goes on from an earlier one


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """Sizes, optimiser and objective of one training; None takes the objective's default.

    `objective`: `shown` separates the accepted from the other offers among those shown; `catalog` ranks the accepted
    offer among the whole catalog; `auto` is `shown` where some offers were not accepted, else `catalog`; `separate`
    trains each tower as a classifier of its own, without a common space, for comparison.

    `temperature` divides the cosines; `shown` learns its own, starting there. `prior` is the L2 penalty on weights: the
    strength of a Gaussian prior, in rows. With `history`, the mean embedding of the offers that a customer accepted is
    added to the embedding of the customer's id.

    A step takes 2,048 rows, up to 8,192 where rows are so many that an epoch still has 120 steps; unless it is given,
    the learning rate then grows with the square root (Malladi et al. 2022, arXiv:2205.10287, for Adam).

    The learning rate falls linearly to zero over all epochs. The latest `held_out` share of the rows decides which
    epoch is the best, and the training stops `patience` epochs after it; where few rows are accepted, they would choose
    by luck, and the last epoch is kept unless `patience` or `epochs` is given. With `refit` the towers are then trained
    again, on all rows, up to that epoch. Where acceptances repeat, and the latest tell most of the next, and after a
    decomposition, which is cheap to repeat, this is done unless `refit` is False.

    `spectral` takes the vectors of ids from a singular value decomposition of who accepted what, without an optimiser.
    It needs the objective `catalog` and towers that read an id alone; `auto` decomposes where few pairs of a customer
    and an offer were accepted, unless options of steps along a gradient are given.

    With `accepted_before`, each request has the offers that its customer had accepted before, at most so many of the
    latest, as the feature of this name; the log itself gives them where labels do not state them.

    `members` is the size of an ensemble whose members are trained from different seeds. Their vectors are concatenated,
    `members * dim` long: the cosine is the mean of the members' where towers read an id alone, else close to it.
    """

    dim: int | None = None
    width: int | None = None
    hidden: tuple[int, ...] = ()
    epochs: int | None = None
    batch_rows: int | None = None
    learning_rate: float | None = None
    prior: float | None = None
    id_dropout: float | None = None
    patience: int | None = None
    held_out: float = 0.1
    objective: Objective = "auto"
    catalog_weight: float = 0.0
    temperature: float | None = None
    history: bool = False
    accepted_before: int = 0
    refit: bool | None = None
    members: int | None = None
    spectral: Switch = "auto"
    customer_id: Switch = "auto"
    offer_id: Switch = "auto"
    reads: tuple[str, ...] = ()  # features to be read otherwise than their values suggest, as offer.genre=category
    seed: int = 42
    threads: int = 1  # more threads gain nothing in small steps and lose much on a busy machine; 0 lets torch decide
    device: Device = "auto"

    def __post_init__(self) -> None:
        """Raise UsageError for the first option that is out of its bounds."""
        for name, low, high in _LIMITS:
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UsageError(f"{name} must be between {low} and {high}, got {value}")

    def recipe(self, log: LogTraits, *, ids_alone: bool, goes_on: bool = False) -> "Recipe":
        """Complete the options by the objective's defaults and by what the log looks like.

        `goes_on` is a training that starts from an earlier model.

        Raises UsageError when `shown` or `separate` is asked for and every row is accepted, and when `spectral` is "on"
        where it cannot be.
        """
        if self.objective in {"shown", "separate"} and log.everything_accepted:
            reason = (
                f"the objective {self.objective!r} needs rows that were not accepted; there are none yet: "
                "an offer that nobody "
                "answers for becomes one when its window (join.window_ms, 30 minutes by default) has closed"
            )
            raise UsageError(reason)
        catalog = self.objective == "catalog" or (self.objective == "auto" and log.everything_accepted)
        additive = not (self.hidden or goes_on or self.objective == "separate")
        shown = _SHOWN_FEW if additive and log.accepted < _FEW_MAX else self._shown(log, goes_on=goes_on)
        suits = _among_catalog(log, ids_alone=ids_alone) if catalog else shown
        spectral = self._decomposes(log, possible=catalog and ids_alone)
        batch_rows = suits.batch_rows if catalog else _batch_rows(log)
        growth = (batch_rows / suits.batch_rows) ** 0.5 if self.batch_rows is None else 1.0
        return Recipe(
            objective="catalog" if catalog else "separate" if self.objective == "separate" else "shown",
            dim=suits.dim if self.dim is None else self.dim,
            epochs=_epochs(suits, log) if self.epochs is None else self.epochs,
            batch_rows=batch_rows if self.batch_rows is None else self.batch_rows,
            learning_rate=suits.learning_rate * growth if self.learning_rate is None else self.learning_rate,
            prior=suits.prior if self.prior is None else self.prior,
            id_dropout=suits.id_dropout if self.id_dropout is None else self.id_dropout,
            patience=suits.patience if self.patience is None else self.patience,
            temperature=suits.temperature if self.temperature is None else self.temperature,
            width=suits.width if self.width is None else self.width,
            id_spread=suits.id_spread,
            first_share=1 - log.repeats,
            epoch_steps_min=suits.epoch_steps_min if self.epochs else _epoch_steps_min(suits, log),
            additive_start=suits.additive_start,
            epochs_given=self.epochs is not None,
            steps_given=self.batch_rows is not None or self.learning_rate is not None,
            chooses_epoch=suits.chooses_epoch or self.patience is not None or self.epochs is not None,
            catalog_weight=1.0 if catalog else self.catalog_weight,
            spectral=spectral,
            refit=(spectral or suits.refit) if self.refit is None else self.refit,
            members=suits.members if self.members is None else self.members,
            members_given=self.members is not None,
            **{name: getattr(self, name) for name in _SAME},
        )

    def _shown(self, log: LogTraits, *, goes_on: bool) -> "Recipe":
        # Whoever gives the sizes of towers, or of the ensemble, wants vectors of that length.
        sized = any(getattr(self, name) != getattr(_NOTHING_GIVEN, name) for name in _SIZES)
        averages = log.rows <= _AVERAGED_ROWS_MAX and log.offers <= _AVERAGED_OFFERS_MAX
        return _SHOWN_AVERAGED if averages and not (sized or goes_on or self.objective == "separate") else _SHOWN

    def _decomposes(self, log: LogTraits, *, possible: bool) -> bool:
        """Return whether vectors come from a decomposition. Raises UsageError where "on" asks for the impossible."""
        steps = [name for name in _OF_STEPS if getattr(self, name) != getattr(_NOTHING_GIVEN, name)]
        steps += ["members"] if self.members not in (None, 1) else []
        if self.dim is not None and self.dim < _SPECTRAL_DIM_MIN:
            steps.append("dim")
        if self.spectral == "on" and (steps or not possible):
            reason = (
                f"not with {', '.join(steps)}"
                if steps
                else "only where both towers read an id alone, among the catalog"
            )
            raise UsageError(f"spectral vectors come from a decomposition without steps: {reason}")
        sparse = log.density < _DENSITY_MIN
        return possible and not steps and (self.spectral == "on" or (self.spectral == "auto" and sparse))


@dataclass(frozen=True, slots=True)
class Recipe:
    """TrainOptions with every field decided, and some that only the log decides.

    `id_spread` is the initial spread of ids' embeddings, relative to that of features, where towers read both.
    `first_share` is the share of acceptances that are not repeats: the others cannot be of new offers. An epoch
    has at least `epoch_steps_min` steps where there are enough rows for them. With `additive_start` the towers begin at
    an offer's own appeal (`TowerModule.begin_additive`). Without `chooses_epoch` the last epoch is kept, whatever the
    held-out rows say. `epochs_given`, `members_given` and, of a step's rows or learning rate, `steps_given` are for
    later trainings by the same options, since what nobody gave follows the log.
    """

    objective: Literal["shown", "catalog", "separate"]
    dim: int
    epochs: int
    learning_rate: float
    prior: float
    patience: int
    temperature: float
    catalog_weight: float = 0.0
    id_spread: float = 0.05
    first_share: float = 1.0
    epoch_steps_min: int = 60
    additive_start: bool = False
    epochs_given: bool = False
    steps_given: bool = False
    chooses_epoch: bool = True
    width: int = 16
    hidden: tuple[int, ...] = ()
    batch_rows: int = 2_048
    id_dropout: float = 0.1
    held_out: float = 0.1
    history: bool = False
    refit: bool = False
    members: int = 1
    members_given: bool = False
    spectral: bool = False
    seed: int = 42
    threads: int = 1
    device: Device = "auto"


# These defaults were measured on the simulator (shown) and on simulated logs of acceptances alone (catalog).
_SHOWN = Recipe("shown", dim=32, epochs=16, learning_rate=0.004, prior=10.0, patience=6, temperature=0.1)
# Where rows are few, those that choose the epoch are fewer still, and the random start does not wear off: the mean of
# several trainings has less of the luck of both.
_SHOWN_AVERAGED = replace(_SHOWN, members=4)
_AVERAGED_ROWS_MAX = 4_000  # four trainings of so few rows take seconds
_AVERAGED_OFFERS_MAX = 10_000  # an offer's vector takes four times the memory
# These are for few acceptances. There the held-out tenth would choose the epoch by luck, and the random weights of the
# start would stay as noise. So all epochs are trained, from an offer's own appeal outwards, and the L2 penalty alone
# decides how much is learned.
_SHOWN_FEW = replace(_SHOWN, additive_start=True, chooses_epoch=False)
_FEW_MAX = 1_000
# An epoch of the objective `catalog` has few steps, each with all acceptances of some customers. Ids begin near zero,
# so that an id with few examples adds little to what its features say.
_CATALOG = Recipe(
    "catalog",
    dim=128,
    epochs=40,
    learning_rate=0.01,
    prior=0.0,
    patience=15,
    temperature=0.2,
    id_dropout=0.03,
    epoch_steps_min=5,
)
# Where customers accept the same offers again and again, most of what can be learned is who accepted what.
_REPEATED = replace(_CATALOG, temperature=0.1, width=64, id_spread=1.0, epoch_steps_min=20, refit=True)
# Customers who share few offers with each other need sharper choices.
_SPARSE = replace(_CATALOG, temperature=0.1)
_DENSITY_MIN = 0.01
# With many rows fewer epochs are enough: the default bounds how many rows all epochs visit together.
_VISITS = 40_000_000
_EPOCHS_MIN = 2
# A larger minibatch costs less a row: fewer steps, and more of its rows share a customer or an offer.
_BATCH_ROWS_MAX = 8_192
_EPOCH_STEPS = 120
# A refit takes the time of a second training. With many rows of many offers fewer epochs, of as many steps in all, give
# it back: the default bounds how many rows times offers all epochs compute.
_CHOICES = 3_000_000_000
_REFITTED_EPOCHS_MIN = 8
_SPECTRAL_DIM_MIN = 3  # one singular vector, and the two numbers that keep the order of dot products
# Options that only make sense for steps along a gradient: whoever gives one of them does not want a decomposition.
_OF_STEPS = (
    "hidden",
    "epochs",
    "learning_rate",
    "prior",
    "id_dropout",
    "patience",
    "temperature",
    "history",
)
_SIZES = ("dim", "width", "hidden", "members")
_SAME = ("hidden", "held_out", "history", "seed", "threads", "device")

_LIMITS: tuple[tuple[str, float, float], ...] = (
    ("dim", 1, 1_024),
    ("width", 1, 1_024),
    ("epochs", 1, 10_000),
    ("batch_rows", 1, 1_000_000),
    ("learning_rate", 1e-7, 10.0),
    ("prior", 0.0, 1e9),
    ("id_dropout", 0.0, 0.9),
    ("patience", 1, 10_000),
    ("held_out", 0.0, 0.5),
    ("catalog_weight", 0.0, 100.0),
    ("members", 1, 64),
    ("accepted_before", 0, ACCEPTED_BEFORE_MAX),
    ("temperature", 0.001, 100.0),
    ("seed", 0, 2**63 - 1),
    ("threads", 0, 1_024),
)
_NOTHING_GIVEN = TrainOptions()


def sizes_from_nothing(facts: Mapping[str, object]) -> Mapping[str, Any]:
    """Return the options of a model's sizes, which are those of the first where it goes on from earlier models.

    Towers that go on from an ensemble are as wide as all of it; who trains from nothing again wants the ensemble.
    """
    began: Any = facts.get(BEGAN_WITH)
    options: Any = facts.get("options") or {}
    return began or {name: options[name] for name in (*_SIZES, "members_given") if name in options}


def _among_catalog(log: LogTraits, *, ids_alone: bool) -> Recipe:
    if ids_alone:
        return _SPARSE if log.density < _DENSITY_MIN else _CATALOG
    return _REPEATED if log.repeats >= HABITS_MIN else _CATALOG


def _batch_rows(log: LogTraits) -> int:
    """Return the largest power of two times 2,048 with which an epoch has enough steps."""
    batch_rows = _SHOWN.batch_rows
    while batch_rows < _BATCH_ROWS_MAX and log.rows >= 2 * batch_rows * _EPOCH_STEPS:
        batch_rows *= 2
    return batch_rows


def _epochs(suits: Recipe, log: LogTraits) -> int:
    epochs = min(suits.epochs, max(_EPOCHS_MIN, _VISITS // log.rows))
    if not suits.refit:
        return epochs
    return min(epochs, max(_REFITTED_EPOCHS_MIN, _CHOICES // (log.rows * log.offers)))


def _epoch_steps_min(suits: Recipe, log: LogTraits) -> int:
    return -(-suits.epoch_steps_min * suits.epochs // _epochs(suits, log)) if suits.refit else suits.epoch_steps_min

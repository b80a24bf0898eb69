"""What a search has tried: each trial, the outcome of all, and whether one training beats another."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from stream_scorer.core.held_out.questions import Floats
from stream_scorer.training.lesson import Fitted
from stream_scorer.training.options import TrainOptions

Setting = Mapping[str, Any]

_BETTER = 0.002  # relative; a smaller gain does not count, however significant it is
_UNITS_MIN = 10  # held-out customers; with fewer there is no standard error to go by
_BETTER_BY_FEW = 0.05


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of the search: its held-out figure, how many epochs and seconds it took, and why it ended.

    `badness` is the held-out loss, or the negative nDCG@10 for the objective `catalog`. `kept` says whether it was the
    best so far.
    """

    setting: dict[str, Any]
    figure: str
    badness: float
    epochs: int
    seconds: float
    ended: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Tuning:
    """The best options, all trials, and the outcome in a sentence.

    `first` is the best trial where it can serve as the first part of the training, which then only has the refit left.
    """

    options: TrainOptions
    trials: tuple[Trial, ...]
    seconds: float
    outcome: str
    first: Fitted | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """The trials, the seconds and the outcome as JSON values, for the model's facts."""
        return {
            "tuned": [asdict(trial) for trial in self.trials],
            "tuning": {"seconds": round(self.seconds, 3), "outcome": self.outcome},
        }


@dataclass(slots=True)
class Tried:
    """A trial: all that it changes of the default, the last of these changes, and each customer's badness (`units`)."""

    setting: dict[str, Any]
    last: dict[str, Any]
    fitted: Fitted
    units: Floats

    def beats(self, other: "Tried", errors: float) -> bool:
        """Return whether this trial is better by more than luck: by `errors` standard errors, customer by customer."""
        # Both trials answer the same questions. The paired differences vary far less than the figures themselves.
        gained = other.units - self.units
        if len(gained) < _UNITS_MIN:
            return bool(gained.size) and float(gained.mean()) > _BETTER_BY_FEW * abs(float(other.units.mean()))
        error = float(gained.std(ddof=1)) / math.sqrt(len(gained))
        return float(gained.mean()) > max(errors * error, _BETTER * abs(float(other.units.mean())), 1e-9)


def setting_text(setting: Setting) -> str:
    """Return a setting as text for people."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in setting.items()
    )

"""The figures of an evaluation, from the measures to the page and to JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from stream_scorer.core.evaluation.calibration import Calibration, Choices
from stream_scorer.core.evaluation.intervals import Interval
from stream_scorer.core.evaluation.off_policy import OffPolicy
from stream_scorer.core.evaluation.policies import ModelPolicy
from stream_scorer.core.features.coverage import FeatureCoverage
from stream_scorer.core.held_out.beside import Beside

QUALITIES = ("recall", "precision", "ndcg", "average_precision")
GROUPS = ("all", "new_customers", "new_offers")


@dataclass(frozen=True, slots=True)
class Compared:
    """A figure of rankings by the model, by popularity and at random, and the model's difference from popularity."""

    model: Interval
    popularity: Interval
    random: Interval
    above_popularity: Interval


@dataclass(frozen=True, slots=True)
class GroupQuality:
    """Figures of whole rankings for a group of customers, or of offers; None where the group has no customers."""

    customers: int = 0
    recall: Compared | None = None
    precision: Compared | None = None
    ndcg: Compared | None = None
    average_precision: Compared | None = None


@dataclass(frozen=True, slots=True)
class DepthCurve:
    """Means over customers for the first 1, 2, … k places, and half their 95 % intervals."""

    value: list[float]
    half_width: list[float]


@dataclass(frozen=True, slots=True)
class DepthCurves:
    """The curves over the depth of a ranking that the page draws."""

    recall: DepthCurve
    ndcg: DepthCurve


@dataclass(frozen=True, slots=True)
class WholeCatalog:
    """Rankings of the whole catalog; `coverage` and `by_depth` by model, popularity and random.

    `questions` counts requests, or customers under the same features, and `drawn_from` how many there are in all.
    `repeats` is the share of the judged acceptances whose customer had accepted the offer before, and `known_ranked`
    says whether those count. `beside` compares with the trivial rankings, by group.
    """

    customers: int = 0
    questions: int = 0
    drawn_from: int = 0
    acceptances: int = 0
    repeats: float = 0.0
    known_ranked: bool = False
    beside: Mapping[str, Beside] = field(default_factory=dict)
    coverage: Mapping[str, float] = field(default_factory=dict)
    all: GroupQuality = GroupQuality()
    new_customers: GroupQuality = GroupQuality()
    new_offers: GroupQuality = GroupQuality()
    by_depth: Mapping[str, DepthCurves] = field(default_factory=dict)

    def groups(self) -> dict[str, GroupQuality]:
        """Return the groups that have customers."""
        return {name: group for name in GROUPS if (group := getattr(self, name)).customers}


@dataclass(frozen=True, slots=True)
class GroupAuc:
    """AUC within customers; figures are None where no customer has both labels."""

    customers: int
    model: Interval | None
    popularity: Interval | None
    above_popularity: Interval | None
    random: float = 0.5


@dataclass(frozen=True, slots=True)
class WithinCustomer:
    """AUC within customers by group, and beside the trivial rankings; None where no customer has both labels."""

    all: GroupAuc
    new_customers: GroupAuc
    new_offers: GroupAuc
    beside: Beside | None = None

    def groups(self) -> dict[str, GroupAuc]:
        """Return the groups that have figures."""
        return {name: group for name in GROUPS if (group := getattr(self, name)).model}


@dataclass(frozen=True, slots=True)
class StageFigure:
    """A figure of the towers' order, of both stages', and by how much the re-ranker raises it, paired by request."""

    towers: Interval
    both: Interval
    above: Interval


@dataclass(frozen=True, slots=True)
class TwoStages:
    """Order within requests: nDCG@10 and AUC over the requests that have an accepted and another offer."""

    requests: int
    pairs: int
    ndcg: StageFigure
    auc: StageFigure


@dataclass(frozen=True, slots=True)
class PeriodAuc:
    """AUC within customers over a part of the judged time."""

    from_ms: int
    until_ms: int
    customers: int
    model: Interval
    popularity: Interval


@dataclass(frozen=True, slots=True)
class SliceFigures:
    """A figure over the requests with one value of a feature; intervals are None for too few customers."""

    feature: str
    value: str
    rows: int
    customers: int  # that the figure is a mean of
    model: Interval | None
    popularity: Interval | None
    above_popularity: Interval | None


@dataclass(frozen=True, slots=True)
class Slices:
    """The figure of the model by slices of the judged rows, or of the questions where the figure is of whole rankings.

    `left_out` counts the features whose slices are not shown.
    """

    figure: str
    slices: tuple[SliceFigures, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class FeatureImportance:
    """By how much the figure falls when a feature's values are exchanged among requests, or among offers."""

    side: str
    feature: str
    drop: Interval


@dataclass(frozen=True, slots=True)
class Importances:
    """Features by importance, on a sample of `rows` judged rows or questions; `value` is the figure of that sample.

    `left_out` counts the features of offers that were not tried, because the catalog is too large.
    """

    figure: str
    rows: int
    customers: int
    value: float
    features: tuple[FeatureImportance, ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class PlacedOffer:
    """An offer of a ranking, with the features of the catalog as text."""

    offer_id: str
    score: float
    accepted: bool
    features: str


@dataclass(frozen=True, slots=True)
class ExampleRanking:
    """The model's first offers for a judged customer.

    `features` are those that the model read of the request, as text. `missed` are ids of accepted offers that are not
    among the first.
    """

    customer_id: str
    features: Mapping[str, str]
    offers: tuple[PlacedOffer, ...]
    missed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PairedFigure:
    """A figure of two models over the same customers, and the mean of the customers' differences."""

    figure: str
    customers: int
    model: Interval
    other: Interval
    above_other: Interval


@dataclass(frozen=True, slots=True)
class AgainstFigures:
    """The model beside another, on rows that are later than all that either learned from.

    `customers_left_out` counts those of whom one of the models cannot read a row that the other can. `incomparable`
    says why the figures favour one of the two; None: they don't.
    """

    model_id: str
    rows: int
    customers_left_out: int
    figures: tuple[PairedFigure, ...]
    incomparable: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the gate would let the model serve, by these labels, and why."""

    publish: Literal["yes", "no", "cannot tell"]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JudgedSpan:
    """When it was judged, by which labels, and from when to when these reach; None: not stated, or no rows."""

    labels: str | None
    seen: str | None
    evaluated_at_ms: int | None
    from_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class PolicyValue:
    """What a policy would have earned, in `unit`, over rankings of up to `places` places."""

    policy: ModelPolicy | Literal["table"]
    places: int
    estimate: OffPolicy
    unit: str = "acceptances per ranking"

    def to_json(self) -> dict[str, Any]:
        """Return a flat object, with the figures of the estimate among the others."""
        found = asdict(self)
        return {**found, **found.pop("estimate")}


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """What only a model has: its rankings, order within customers, and calibration.

    `self_selected` is the share of the judged rows with a score that are this very model's own rankings;
    `popularity_known` says whether any label was earlier than those judged.
    """

    model_id: str
    facts: Mapping[str, object]
    whole_catalog: WholeCatalog
    within_customer: WithinCustomer
    by_time: tuple[PeriodAuc, ...]
    calibration: Calibration | None
    features: tuple[FeatureCoverage, ...]  # of the labels' customers and offers, and of the catalog
    self_selected: float
    popularity_known: bool
    slices: Slices | None = None
    importances: Importances | None = None
    examples: tuple[ExampleRanking, ...] = ()
    against: AgainstFigures | None = None
    two_stages: TwoStages | None = None  # where the model has a re-ranker
    choices: Choices | None = None  # where some offers were not accepted


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All figures; `model` is None where a table of probabilities was judged alone.

    `cautions` say what not to believe.
    """

    rows: int
    accepted: int
    customers: int
    catalog_offers: int
    refused_rows: int
    k: int
    model: ModelFigures | None
    off_policy: PolicyValue | None
    cautions: tuple[str, ...] = ()
    incomparable: str | None = None  # why the comparison with popularity says nothing; None: it says something
    verdict: Verdict | None = None  # None for a table of probabilities, which no gate judges
    span: JudgedSpan | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a flat object, with the model's figures among the others."""
        found = asdict(self)
        model = found.pop("model") or {}
        return {**model, **found, "off_policy": None if self.off_policy is None else self.off_policy.to_json()}

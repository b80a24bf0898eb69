"""Checks offers, labels and requests before anything is trained or served, and says what would go wrong."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, TypeVar

from stream_scorer.core.datasets.catalog_fill import FilledExamples
from stream_scorer.core.datasets.chunks import ExampleChunk, ExampleSource
from stream_scorer.core.features.coverage import FeatureCoverage, cautions_of, coverage_of, reason_blind
from stream_scorer.core.features.spec import FeatureSpec
from stream_scorer.core.features.stats import FeatureStats
from stream_scorer.core.messages import Offer
from stream_scorer.core.releases.validity import validity_cautions
from stream_scorer.core.towers.model import Model
from stream_scorer.errors import UsageError
from stream_scorer.services.learning.surveying import surveyed
from stream_scorer.services.operating.request_check import RequestCheck
from stream_scorer.training.options import TrainOptions

State = Literal["ok", "caution", "fault"]

BAD_ROWS_SHOWN = 5
ACCEPTED_MIN = 2
_BATCH = 512

Good = TypeVar("Good")


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One sentence about one of the files; a fault is what training or serving would refuse, or do blindly."""

    about: str
    state: State
    says: str


class FileCheck:
    """Takes files one after the other, offers first, and holds each to those before it."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self.lines: list[CheckLine] = []
        self._offers: list[Offer] = []
        self._specs: tuple[FeatureSpec, FeatureSpec] | None = None
        self._customers: set[str] = set()

    @property
    def is_good(self) -> bool:
        """Whether no fault was seen."""
        return all(line.state != "fault" for line in self.lines)

    def say(self, about: str, state: State, *sentences: str) -> None:
        """Add lines."""
        self.lines += [CheckLine(about, state, sentence) for sentence in sentences]

    def take_offers(self, rows: Iterable[Offer | UsageError], *, now_ms: int) -> None:
        """Check the catalog."""
        refused: list[str] = []
        good = list(_good(_to_the_end(rows), refused))
        self._offers = good
        self.say("offers", "ok", *([f"{len(good):,} offers, such as {good[0].offer_id!r}"] if good else []))
        self.say("offers", "fault", *_first(refused, "rows that are no offers"))
        if not good:
            self.say("offers", "fault", "there is no offer")
        stats = FeatureStats("offer")
        stats.add([offer.features for offer in good], [offer.offer_id for offer in good])
        self._describe("offers", stats)
        self.say("offers", "caution", *validity_cautions(good, now_ms))

    def take_labels(self, examples: ExampleSource, refusals: Iterable[UsageError]) -> None:
        """Check labels, as a training would read them; `refusals` are asked for where it could not."""
        try:
            self._survey(examples)
        except UsageError as error:
            others = [str(refusal) for refusal in islice(refusals, BAD_ROWS_SHOWN)]
            self.say("labels", "fault", *dict.fromkeys([str(error), *others]))

    def _survey(self, examples: ExampleSource) -> None:
        tally = _OverheardLabels(examples)
        offers = self._offers or _offers_of(examples)
        user_spec, item_spec, survey = surveyed(FilledExamples(tally, offers), offers, TrainOptions())
        self._specs, self._customers = (user_spec, item_spec), tally.customers
        self.say("labels", "ok", tally.sentence(), *(f"read as {one.line()}" for one in survey.inputs))
        seen = {line.says for line in self.lines}  # what the catalog shows as well is said of it
        self.say("labels", "caution", *(each for each in (*survey.cautions, *tally.cautions()) if each not in seen))
        if tally.accepted < ACCEPTED_MIN:
            self.say("labels", "fault", f"training needs at least {ACCEPTED_MIN} accepted rows, got {tally.accepted}")

    def take_model(self, model: Model) -> None:
        """Hold the offers to a model, and the requests that come after."""
        self._specs = user_spec, item_spec = model.user_tower.spec, model.item_tower.spec
        self.say("model", "ok", f"{model.model_id} reads {_named(user_spec)} and {_named(item_spec)}")
        if not self._offers:
            return
        features = [offer.features for offer in self._offers]
        errors = item_spec.encode(features, [offer.offer_id for offer in self._offers]).errors
        wrong = [f"offer {self._offers[error.index].offer_id!r}: {error.message}" for error in errors]
        self.say("offers", "fault", *_first(wrong, "offers that the model cannot read"))
        self._cover("offers", coverage_of(item_spec, features, errors))

    def take_requests(self, rows: Iterable[tuple[int, bytes] | UsageError]) -> None:
        """Check requests as a ranker would read them, by the features of the model or else of the labels."""
        check = RequestCheck(self._specs[0] if self._specs else None, self._offers, self._customers)
        refused: list[str] = []
        good = _good(_to_the_end(rows), refused)
        while batch := list(islice(good, _BATCH)):
            check.add([value for _, value in batch], [number for number, _ in batch])
        self.say("requests", "ok", check.sentence())
        self.say("requests", "fault", *_first(refused, "rows that cannot be read"))
        self.say("requests", "fault", *_first(check.wrong, "rows that would become dead letters"))
        if not check.count:
            self.say("requests", "fault", "there is no request that can be ranked")
        self._describe("requests", check.stats)
        if check.coverage is not None:
            self._cover("requests", check.coverage)
        self.say("requests", "caution", *check.cautions())
        self.say("requests", "fault", *check.faults())

    def _describe(self, about: str, stats: FeatureStats) -> None:
        self.say(about, "ok", *stats.column_lines())
        try:
            decided = stats.decided()
        except UsageError as error:
            self.say(about, "fault", str(error))
            return
        if about == "offers":  # how customers are read follows from labels
            self.say(about, "caution", *(caution for one in decided.values() for caution in one.cautions))

    def _cover(self, about: str, coverage: FeatureCoverage) -> None:
        blind = reason_blind(coverage)
        self.say(about, "fault", *([] if blind is None else [blind]))
        self.say(about, "caution", *(cautions_of(coverage) if blind is None else []))


class _OverheardLabels:
    """See ExampleSource. Counts labels while somebody reads them."""

    def __init__(self, examples: ExampleSource) -> None:
        self._examples = examples
        self.rows = self.accepted = self.timeless = 0
        self.customers: set[str] = set()

    def chunks(self) -> Iterator[ExampleChunk]:
        """See ExampleSource.chunks."""
        for chunk in self._examples.chunks():
            self.rows += len(chunk)
            self.accepted += int(chunk.accepted.sum())
            self.timeless += int((chunk.request_time_ms == 0).sum())
            self.customers.update(chunk.customers.ids)
            yield chunk

    def sentence(self) -> str:
        return f"{self.rows:,} labels of {len(self.customers):,} customers, {self.accepted:,} accepted"

    def cautions(self) -> list[str]:
        said = []
        if self.timeless:
            said.append(
                f"{self.timeless:,} of {self.rows:,} labels have no request_time_ms, and count as the oldest: the "
                "latest labels are held out to judge a model by"
            )
        if self.accepted == self.rows:
            said.append("all labels are accepted: training ranks them among the whole catalog, for want of refusals")
        return said


def _offers_of(examples: ExampleSource) -> list[Offer]:
    """Return the offers of labels, where no catalog is given to hold them to."""
    ids = dict.fromkeys(offer for chunk in examples.chunks() for offer in chunk.offers.ids)
    return [Offer(offer_id=offer_id, features={}) for offer_id in ids]


def _to_the_end(rows: Iterable[Good | UsageError]) -> Iterator[Good | UsageError]:
    """Yield rows, and in the end why there are no more of them, where that is a fault of the file."""
    try:
        yield from rows
    except UsageError as error:
        yield error


def _good(rows: Iterable[Good | UsageError], refused: list[str]) -> Iterator[Good]:
    for row in rows:
        if isinstance(row, UsageError):
            refused.append(str(row))
        else:
            yield row


def _first(sentences: Sequence[str], what: str) -> list[str]:
    """Return the first sentences, behind a count where there are more."""
    if len(sentences) <= BAD_ROWS_SHOWN:
        return list(sentences)
    return [f"{len(sentences):,} {what}, of which the first {BAD_ROWS_SHOWN} are:", *sentences[:BAD_ROWS_SHOWN]]


def _named(spec: FeatureSpec) -> str:
    names = spec.feature_names
    return f"{len(names)} features of {spec.side}s" + (f" ({', '.join(names)})" if names else "")

"""Trains a model from labelled examples: derives the specs, encodes the rows, trains the towers, states the facts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from stream_scorer.core.datasets.accepted_before import ACCEPTED_BEFORE, AcceptedBefore, accepted_before_stated
from stream_scorer.core.datasets.catalog_fill import FilledExamples
from stream_scorer.core.datasets.chunks import ExampleSource
from stream_scorer.core.datasets.training_set import TrainingSet, build_training_set
from stream_scorer.core.features.spec import FeatureSpec
from stream_scorer.core.messages import Offer
from stream_scorer.core.releases.gate import alike_cautions
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.spec_extension import extended
from stream_scorer.errors import BadModel, UsageError
from stream_scorer.services.learning.held_out_facts import held_out_facts
from stream_scorer.services.learning.surveying import surveyed
from stream_scorer.services.learning.trials import Tuning
from stream_scorer.training.export import REMEDY, export
from stream_scorer.training.joint import fit
from stream_scorer.training.lesson import Epoch, Fitted, Lesson, device_of
from stream_scorer.training.options import BEGAN_WITH, TrainOptions, sizes_from_nothing
from stream_scorer.training.penalty import with_penalty

_NAMED_MAX = 5

SecondStage = Callable[[Model, Lesson, Fitted], Model]
"""Trains a re-ranker behind the towers of a model, and returns the model with it, or with why it has none."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A model, and the epochs of its training."""

    model: Model
    epochs: tuple[Epoch, ...]


def train_model(
    examples: ExampleSource,
    offers: Sequence[Offer],
    options: TrainOptions,
    *,
    earlier: Model | None = None,
    report: Callable[[Epoch], None] = lambda epoch: None,
    second: SecondStage | None = None,
) -> Trained:
    """Train both towers, starting from the `earlier` model where there is one, then check and measure them.

    Raises UsageError for data that the towers cannot learn from, and BadModel for towers that are dead, have collapsed,
    or differ between torch and numpy.
    """
    return finish(read_lesson(examples, offers, options, earlier=earlier), options, report=report, second=second)


def read_lesson(
    examples: ExampleSource, offers: Sequence[Offer], options: TrainOptions, *, earlier: Model | None = None
) -> Lesson:
    """Derive the specs from the data, extending those of an earlier model, and encode all examples by them.

    Raises UsageError for data that the towers cannot read, and where `accepted_before` finds no earlier acceptance.
    """
    before = _with_accepted_before(examples, options, earlier)
    filled = FilledExamples(examples if before is None else before, offers)
    user_spec, item_spec, survey = surveyed(filled, offers, options)
    if before is not None:
        survey = replace(survey, cautions=(*survey.cautions, *_filled_from_log(before, user_spec)))
    if earlier is not None:
        user_spec, item_spec = (
            extended(earlier.user_tower.spec, user_spec),
            extended(earlier.item_tower.spec, item_spec),
        )
    return Lesson(build_training_set(filled, offers, user_spec, item_spec), user_spec, item_spec, earlier, survey)


def source_of(
    examples: ExampleSource, offers: Sequence[Offer], options: TrainOptions, earlier: Model | None
) -> ExampleSource:
    """Return the examples as `read_lesson` reads them: what labels leave out is filled from the catalog and the log."""
    before = _with_accepted_before(examples, options, earlier)
    return FilledExamples(examples if before is None else before, offers)


def _with_accepted_before(
    examples: ExampleSource, options: TrainOptions, earlier: Model | None
) -> AcceptedBefore | None:
    # A training that goes on from a model which reads the feature reads it, too: it would be missing everywhere.
    most = _accepted_before(options, earlier)
    return AcceptedBefore(examples, most) if most else None


def _accepted_before(options: TrainOptions, earlier: Model | None) -> int:
    return options.accepted_before or (0 if earlier is None else accepted_before_stated(earlier.facts))


def _filled_from_log(before: AcceptedBefore, spec: FeatureSpec) -> list[str]:
    """Say how many labels got the feature from the log. Raises UsageError where no label has it in any way."""
    if ACCEPTED_BEFORE not in spec.feature_names:
        raise UsageError(
            "--accepted-before would do nothing: no label has an earlier acceptance of its customer; labels need "
            "request_time_ms, and customers who come again"
        )
    said = f"{before.rows_filled:,} labels got {ACCEPTED_BEFORE!r} from the log: served requests have to state it"
    return [said] if before.rows_filled else []


def check_history(lesson: Lesson, options: TrainOptions) -> None:
    """Raise UsageError where `history` would have no effect, because the user tower reads features beside the id."""
    spec = lesson.user_spec
    if options.history and (len(spec.slots) != 1 or spec.numbers):
        read = ", ".join(spec.feature_names[:_NAMED_MAX]) + (", …" if len(spec.feature_names) > _NAMED_MAX else "")
        raise UsageError(
            "--history would do nothing: it is for customers of whom only ids are known, and these have "
            f"features ({read})"
        )


def finish(
    lesson: Lesson,
    options: TrainOptions,
    *,
    tuning: Tuning | None = None,
    report: Callable[[Epoch], None] = lambda epoch: None,
    second: SecondStage | None = None,
) -> Trained:
    """Train on an encoded lesson, then check and measure the towers, and train a `second` stage behind them.

    `tuning` is the search that chose the options: its trials become facts, and its best training, where it has one, is
    not repeated.
    """
    # Facts of the held-out rows are measured on the exported numpy towers, as these are what will serve.
    data = lesson.data
    options = with_penalty(lesson, options) if tuning is None else options  # a search has chosen it already
    fitted = fit(lesson, options, report=report, first=None if tuning is None else tuning.first)
    model = export(fitted, data.customers, data.offers, data.catalog, _facts(lesson, fitted, options))
    facts = {**model.facts, **held_out_facts(model, lesson, fitted), **({} if tuning is None else tuning.facts)}
    refuse_worse_alike(facts)
    made = Model(model.model_id, model.user_tower, model.item_tower, facts)
    return Trained(made if second is None else second(made, lesson, fitted), fitted.epochs)


def refuse_worse_alike(facts: Mapping[str, Any]) -> None:
    """Raise BadModel for a model that ranks alike for all customers where a trivial ranking is surely better."""
    better = (facts.get("judged") or {}).get("better", ())
    if better and alike_cautions(facts):
        raise BadModel(
            f"the user_tower has collapsed: the model ranks alike for all customers, and {better[0]} ranks better; "
            f"{REMEDY}"
        )


def _facts(lesson: Lesson, fitted: Fitted, options: TrainOptions) -> dict[str, object]:
    data, best, head = lesson.data, fitted.best_epoch, fitted.head
    return {
        "engine": "torch",
        "device": device_of(fitted.recipe.device).type,
        "earlier_model_id": None if lesson.earlier is None else lesson.earlier.model_id,
        "objective": fitted.recipe.objective,
        "options": {
            **asdict(fitted.recipe),
            "reads": list(options.reads),
            ACCEPTED_BEFORE: _accepted_before(options, lesson.earlier),
        },
        **({} if lesson.earlier is None else {BEGAN_WITH: sizes_from_nothing(lesson.earlier.facts)}),
        **lesson.survey.facts(),
        "rows": len(data),
        "positives": int(data.accepted.sum()),
        "customers": int(data.who.max()) + 1,
        "catalog_offers": len(data.catalog),
        "refused_rows": data.refused,
        "rows_outside_catalog": int((data.catalog_of[data.offer] < 0).sum()),
        "held_out_rows": len(fitted.held_out),
        "epochs": len(fitted.epochs),
        "best_epoch": fitted.best,
        "loss": best.loss,
        "held_out_loss": best.held_out_loss,
        "held_out_ndcg_10": best.held_out_ndcg,
        "trained_until_ms": _until_ms(data, fitted),
        "scale": float(head.log_scale.detach().exp()),
        "bias": float(head.bias.detach()),
        "rank_log_odds": head.ranks.detach()[1:17].tolist(),
    }


def _until_ms(data: TrainingSet, fitted: Fitted) -> int:
    """Return the time of the latest row that the towers learned from: later rows can judge the model."""
    learned = np.ones(len(data), bool)
    if not fitted.recipe.refit:
        learned[fitted.held_out] = False
    return int(data.request_time_ms[learned].max())

"""Looks at all labels and the catalog before a training, by the training's options. This needs no torch."""

from collections.abc import Sequence
from dataclasses import replace

from stream_scorer.core.datasets.catalog_fill import FilledExamples
from stream_scorer.core.datasets.survey import Survey, Surveyor, asked_of
from stream_scorer.core.datasets.traits import RepeatCount
from stream_scorer.core.features.spec import FeatureSpec
from stream_scorer.core.features.stats import FeatureStats, SpecOptions
from stream_scorer.core.messages import Offer
from stream_scorer.errors import UsageError
from stream_scorer.training.options import TrainOptions

# With so many acceptances each, on average, the ids of customers and of offers add more signal than noise. Offers need
# fewer, as an offer's acceptances come from many customers. Both need fewer where customers accept the same offers
# again: a few acceptances tell a habit, and features cannot tell which offer of a kind it is.
_ACCEPTED_EACH = (30, 5)
_ACCEPTED_EACH_BY_HABIT = (5, 1)
_ACCEPTED_EACH_BY_LOYALTY = (5, 5)
# An offer that one customer takes again and again is a habit as well, so that rare ids keep rows of their own. The
# catalog counts as one row of each offer: an offer needs an acceptance.
_ID_ROWS_BY_HABIT = 2


def surveyed(
    examples: FilledExamples, offers: Sequence[Offer], options: TrainOptions
) -> tuple[FeatureSpec, FeatureSpec, Survey]:
    """Read all examples once; return the specs of the user and the item tower, and what is odd about the data.

    Raises UsageError when there are no examples, when most labels are of offers outside the catalog, and for a feature
    that cannot be read as `options.reads` asks.
    """
    asked, seen = asked_of(options.reads), Surveyor(offers)
    for chunk in examples.chunks():
        seen.add(chunk)
    customers, items = seen.customers, seen.offers
    if not customers.distinct_ids:
        raise UsageError("there are no labelled examples to train on")
    accepted = seen.acceptances.accepted
    habits = seen.acceptances.shows_habits
    of_customer, of_offer = _accepted_each(seen.acceptances)
    # Beside an id that knows all of a customer's acceptances, those of before would tell which ones are over: training
    # would learn to avoid them.
    often = not options.accepted_before and accepted >= of_customer * customers.distinct_ids
    by_customer = _wanted(options.customer_id, customers, often)
    by_offer = _wanted(options.offer_id, items, accepted >= of_offer * items.distinct_ids)
    plain = SpecOptions(id_count_min=_ID_ROWS_BY_HABIT) if habits else SpecOptions()
    wanted = (replace(plain, id_feature=by_customer), replace(plain, id_feature=by_offer))
    return seen.specs(asked, wanted, rows_filled=examples.rows_filled)


def _accepted_each(seen: RepeatCount) -> tuple[int, int]:
    """Return how many acceptances a customer, and an offer, must have on average for ids to be inputs."""
    if seen.shows_habits:
        return _ACCEPTED_EACH_BY_HABIT
    return _ACCEPTED_EACH_BY_LOYALTY if seen.shows_loyalty else _ACCEPTED_EACH


def _wanted(switch: str, stats: FeatureStats, often: bool) -> bool:
    return often or not stats.has_features if switch == "auto" else switch == "on"

"""Looks at all labels and the catalog before a training, by the training's options. This needs no torch."""

from collections.abc import Sequence

from stream_scorer.core.datasets.catalog_fill import FilledExamples
from stream_scorer.core.datasets.survey import Survey, Surveyor, asked_of
from stream_scorer.core.features.spec import FeatureSpec
from stream_scorer.core.features.stats import FeatureStats, SpecOptions
from stream_scorer.core.messages import Offer
from stream_scorer.errors import UsageError
from stream_scorer.training.options import TrainOptions

# With so many acceptances each, on average, ids add more signal than noise. Offers need fewer, as an offer's
# acceptances come from many customers, and so do customers who accept the same offers again: a few tell their habits.
_ACCEPTED_PER_CUSTOMER = 30
_ACCEPTED_PER_CUSTOMER_OF_HABIT = 5
_ACCEPTED_PER_OFFER = 5


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
    enough = _ACCEPTED_PER_CUSTOMER_OF_HABIT if seen.acceptances.shows_habits else _ACCEPTED_PER_CUSTOMER
    by_customer = _wanted(options.customer_id, customers, accepted >= enough * customers.distinct_ids)
    by_offer = _wanted(options.offer_id, items, accepted >= _ACCEPTED_PER_OFFER * items.distinct_ids)
    wanted = (SpecOptions(id_feature=by_customer), SpecOptions(id_feature=by_offer))
    return seen.specs(asked, wanted, rows_filled=examples.rows_filled)


def _wanted(switch: str, stats: FeatureStats, often: bool) -> bool:
    return often or not stats.has_features if switch == "auto" else switch == "on"

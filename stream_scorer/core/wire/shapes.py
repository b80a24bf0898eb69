"""The contract's messages as the compiled parser can check them: the same fields, types and bounds, as structs.

An unknown field is skipped, as the contract says. UNSET stands for a field that is not there, so that the keys of the
text can be counted. What types cannot say (printable ids, lists of one kind) is checked in `soundness.py`.

Messages with features are read by one of two shapes. That of `PlainFeatures` has bags only, which are surely of one
kind, and so reads most messages with no look at their lists. That of `AllFeatures` takes vectors, too.
"""

from functools import cache
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from stream_scorer.core import messages as contract
from stream_scorer.core.filter_operators import FilterOp
from stream_scorer.core.wire.strict_json import INT64_MAX, INT64_MIN

# Numbers are read as floats. An integer that an int64 cannot hold must be refused, and as a float it is at least this
# large. So are a few floats that the contract allows; the strict way reads those.
_BEYOND_INT64 = 2.0**63

_Id = Annotated[str, Meta(min_length=1, max_length=contract.ID_CHARS_MAX)]
_TimeMs = Annotated[int, Meta(ge=0, le=contract.TIME_MS_MAX)]
_Number = Annotated[float, Meta(gt=-_BEYOND_INT64, lt=_BEYOND_INT64)]
_Text = Annotated[str, Meta(max_length=contract.STRING_CHARS_MAX)]
_Bag = Annotated[list[_Text], Meta(max_length=contract.BAG_MAX)]
_List = Annotated[list[_Number | _Text], Meta(max_length=contract.VECTOR_MAX)]
_Name = Annotated[str, Meta(min_length=1, max_length=contract.FEATURE_NAME_CHARS_MAX)]
# The names' lengths are checked elsewhere: the parser reuses the strings of keys only where these have no bounds.
PlainFeatures = Annotated[dict[str, _Number | _Text | bool | _Bag | None], Meta(max_length=contract.FEATURE_NAMES_MAX)]
AllFeatures = Annotated[dict[str, _Number | _Text | bool | _List | None], Meta(max_length=contract.FEATURE_NAMES_MAX)]
FeaturesShape = TypeVar("FeaturesShape")
_Ids = Annotated[list[_Id], Meta(max_length=contract.OFFERS_MAX)]
_Rank = Annotated[int, Meta(ge=1, le=contract.LIMIT_MAX)]


class _Shape(msgspec.Struct, gc=False):
    """Lives for a moment and holds no cycles, so the collector need not know of it."""


class FilterShape(_Shape):
    """See `Filter`."""

    attribute: _Name
    op: FilterOp
    value: _Number | _Text | bool | Annotated[list[_Number | _Text], Meta(max_length=contract.BAG_MAX)]


class RequestShape(_Shape, Generic[FeaturesShape]):
    """See `CustomerRequest`."""

    request_id: _Id
    customer_id: _Id
    event_time_ms: _TimeMs
    features: FeaturesShape
    offers: _Ids | UnsetType | None = UNSET
    exclude: _Ids | UnsetType = UNSET
    filters: Annotated[list[FilterShape], Meta(max_length=contract.FILTERS_MAX)] | UnsetType = UNSET
    limit: _Rank | UnsetType = UNSET


class RequestedOfferShape(_Shape):
    """See `RequestedOffer`."""

    offer_id: _Id
    features: AllFeatures


class StatingRequestShape(_Shape):
    """See `CustomerRequest`: one whose offers are objects."""

    request_id: _Id
    customer_id: _Id
    event_time_ms: _TimeMs
    features: AllFeatures
    offers: Annotated[list[RequestedOfferShape], Meta(min_length=1, max_length=contract.STATED_OFFERS_MAX)]
    exclude: _Ids | UnsetType = UNSET
    filters: Annotated[list[FilterShape], Meta(max_length=contract.FILTERS_MAX)] | UnsetType = UNSET
    limit: _Rank | UnsetType = UNSET


class AcceptanceShape(_Shape):
    """See `Acceptance`."""

    acceptance_id: _Id
    request_id: _Id
    customer_id: _Id
    offer_id: _Id
    accepted: bool
    event_time_ms: _TimeMs
    request_time_ms: _TimeMs | UnsetType | None = UNSET


class OfferShape(_Shape, Generic[FeaturesShape]):
    """See `Offer`."""

    offer_id: _Id
    features: FeaturesShape
    active: bool | UnsetType = UNSET
    valid_from_ms: _TimeMs | UnsetType | None = UNSET
    valid_until_ms: _TimeMs | UnsetType | None = UNSET


class LabelledOfferShape(_Shape, Generic[FeaturesShape]):
    """See `LabelledOffer`."""

    offer_id: _Id
    rank: _Rank
    score: _Number
    propensity: Annotated[float, Meta(gt=0, le=1)]
    features: FeaturesShape
    accepted: Literal[0, 1] | None
    cause: contract.Cause | None
    label_time_ms: _TimeMs | None
    tower_rank: _Rank | UnsetType | None = UNSET
    reranker_score: _Number | UnsetType | None = UNSET


class LabelledRankingShape(_Shape, Generic[FeaturesShape]):
    """See `LabelledRanking`."""

    request_id: _Id
    revision: Annotated[int, Meta(ge=1, le=contract.REVISION_MAX)]
    final: bool
    customer_id: _Id
    request_time_ms: _TimeMs
    release_id: _Id
    features: FeaturesShape
    offers: Annotated[list[LabelledOfferShape[FeaturesShape]], Meta(max_length=contract.LIMIT_MAX)]


@cache
def any_object() -> msgspec.json.Decoder[dict[str, Any]]:
    """Return what parses any JSON object whose nesting and integers are within the bounds."""
    scalar = str | Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)] | float | bool | None
    value: Any = scalar
    for _ in range(contract.NESTING_MAX - 1):
        value = dict[str, value] | list[value] | scalar
    return msgspec.json.Decoder(dict[str, value])

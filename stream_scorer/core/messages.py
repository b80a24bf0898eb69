"""The contract on the wire: a class for each kind of message, from which `schemas/` is generated.

Validation is strict: nothing is coerced, NaN and infinity are refused, and numbers, strings and lists have bounds.
Unknown fields are ignored, so that producers can add a field before consumers know it. What JSON text must not contain
(a key twice, NUL, lone surrogates, numbers out of range) is refused before, in `core/wire/strict_json.py:loads_strict`.
"""

from typing import Annotated, Any, Literal, NewType

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, StringConstraints, Tag
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from stream_scorer.core.filter_operators import OPERATORS, FilterOp

RequestId = NewType("RequestId", str)
CustomerId = NewType("CustomerId", str)
OfferId = NewType("OfferId", str)
ReleaseId = NewType("ReleaseId", str)

ID_CHARS_MAX = 256
FEATURE_NAMES_MAX = 256
FEATURE_NAME_CHARS_MAX = 128
STRING_CHARS_MAX = 1_024
BAG_MAX = 1_000
VECTOR_MAX = 4_096
OFFERS_MAX = 10_000
STATED_OFFERS_MAX = 1_000  # offers whose features a request states: each may need a pass through the item tower
FILTERS_MAX = 32
LIMIT_MAX = 1_000
LIMIT_DEFAULT = 10
TIME_MS_MAX = 253_402_300_799_999  # the end of the year 9999
# The years 2000 to 2100 in seconds. Read as milliseconds they are days of early 1970, which hardly anybody means.
SECONDS_FROM, SECONDS_TO = 946_684_800, 4_102_444_800
RECORD_BYTES_MAX = 1_000_000
NESTING_MAX = 8
REVISION_MAX = 2**31 - 1  # of a topic's labels: the buffer's column is an int32

# A string under a field is its meaning: schemas.py reads it from the source, for schemas/ and the documentation.
# pydantic could, too, but at every import, which would cost each start of a worker a tenth of a second.
_WIRE = ConfigDict(extra="ignore", allow_inf_nan=False, defer_build=True)

# Strictness is set on the leaves, so that a class can be made from a dict while no leaf is coerced.
Int = Annotated[int, Field(strict=True)]
Float = Annotated[float, Field(strict=True)]
Bool = Annotated[bool, Field(strict=True)]
Str = Annotated[str, Field(strict=True)]

# An id is printable: no control or format characters, line breaks, surrogates, private or unassigned code points.
# The zero-width joiners are format characters, too, but Indic scripts and Persian need them inside words.
_SEEN, _JOINERS = r"[^\p{C}\p{Zl}\p{Zp}]", r"[\x{200C}\x{200D}]"
_PRINTABLE = rf"^{_JOINERS}*{_SEEN}(?:{_SEEN}|{_JOINERS})*$"
Id = Annotated[Str, StringConstraints(min_length=1, max_length=ID_CHARS_MAX, pattern=_PRINTABLE)]
TimeMs = Annotated[Int, Field(ge=0, le=TIME_MS_MAX)]
TowerRank = Annotated[Int, Field(ge=1, le=LIMIT_MAX)]
Text = Annotated[Str, Field(max_length=STRING_CHARS_MAX)]
FeatureName = Annotated[Str, StringConstraints(min_length=1, max_length=FEATURE_NAME_CHARS_MAX)]
# The types are tried from left to right. A bool is never taken for a number, since the leaves are strict.
# `fail_fast` stops at a list's first bad element, so that a long bad list does not cost an error for each.
FeatureValue = Annotated[
    Float
    | Text
    | Bool
    | None
    | Annotated[list[Text], Field(max_length=BAG_MAX, fail_fast=True)]
    | Annotated[list[Float], Field(max_length=VECTOR_MAX, fail_fast=True)],
    Field(union_mode="left_to_right"),
]
Features = Annotated[dict[FeatureName, FeatureValue], Field(max_length=FEATURE_NAMES_MAX)]
Scalar = Annotated[Float | Text | Bool, Field(union_mode="left_to_right")]


@dataclass(frozen=True, slots=True, config=_WIRE)
class Filter:
    """A condition on one attribute of an offer; an offer without the attribute never matches.

    `in` takes a list of values of one kind, the others one value.
    """

    attribute: FeatureName
    """The name of the offer's feature."""
    op: FilterOp
    """How the feature is compared with the value."""
    value: Annotated[
        Scalar
        | Annotated[list[Float], Field(max_length=BAG_MAX, fail_fast=True)]
        | Annotated[list[Text], Field(max_length=BAG_MAX, fail_fast=True)],
        Field(union_mode="left_to_right"),
    ]
    """What the feature is compared with."""

    def __post_init__(self) -> None:
        """Refuse a list where the operator takes a single value, and a single value where it takes a list."""
        takes_list = OPERATORS[self.op].takes_list
        if isinstance(self.value, list) != takes_list:
            due = "a list of values" if takes_list else "one value"
            raise PydanticCustomError("filter_value", "{op} takes {due}", {"op": self.op, "due": due})


@dataclass(frozen=True, slots=True, config=_WIRE)
class RequestedOffer:
    """An offer as a request states it: some of its features are others for this request, such as its price."""

    offer_id: Id
    """The offer; it must be in the catalog to be ranked."""
    features: Features
    """What counts for this request in place of the catalog's; null: the offer is without it. {}: all as there."""


def _kind_of_offers(given: Any) -> str:
    """Return whether a list is read as ids or as objects, by its first element: it may not mix them."""
    first = given[0] if isinstance(given, list) and given else None
    return "objects" if isinstance(first, dict | RequestedOffer) else "ids"


def _each_once(offers: list[RequestedOffer]) -> list[RequestedOffer]:
    """Refuse an offer that stands twice: its features would be left to chance."""
    if len({offer.offer_id for offer in offers}) < len(offers):
        raise PydanticCustomError("offer_twice", "an offer that states features must stand once")
    return offers


def _either(schema: dict[str, Any]) -> None:
    """Let the JSON Schema take an empty list, which fits both kinds, where `oneOf` would refuse it."""
    schema["anyOf"] = schema.pop("oneOf")


_Ids = Annotated[list[Id], Field(max_length=OFFERS_MAX, fail_fast=True)]
_Stated = Annotated[list[RequestedOffer], Field(max_length=STATED_OFFERS_MAX, fail_fast=True)]
Offers = Annotated[
    Annotated[_Ids, Tag("ids")] | Annotated[_Stated, AfterValidator(_each_once), Tag("objects")],
    Discriminator(_kind_of_offers),
    Field(json_schema_extra=_either),
]


@dataclass(frozen=True, slots=True, config=_WIRE)
class CustomerRequest:
    """A customer to rank offers for.

    `offers` null or absent is the whole catalog, `[]` is nothing eligible. A request id determines its event time.
    """

    request_id: Id
    """Names the request in its ranking, answers and labels; one that is sent again keeps it."""
    customer_id: Id
    """Whom to rank for."""
    event_time_ms: TimeMs
    """When the customer asked."""
    features: Features
    """What is known of the customer at that time, by name."""
    offers: Offers | None = None
    """The only offers that may be ranked: ids, or objects that state features; null or absent: the whole catalog."""
    exclude: _Ids = Field(default_factory=list)
    """Offers that must not be ranked."""
    filters: Annotated[list[Filter], Field(max_length=FILTERS_MAX, fail_fast=True)] = Field(default_factory=list)
    """Conditions that an offer must all meet."""
    limit: Annotated[Int, Field(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT
    """How many offers to rank at most."""

    @property
    def stated_offers(self) -> list[RequestedOffer]:
        """Return the offers that come as objects, whose first tells what all are; none where ids come."""
        return self.offers if self.offers and type(self.offers[0]) is not str else []  # type: ignore[return-value]

    @property
    def offer_ids(self) -> list[Id]:
        """Return the ids of `offers`, empty for the whole catalog too."""
        stated = self.stated_offers
        return [offer.offer_id for offer in stated] if stated else self.offers or []  # type: ignore[return-value]


@dataclass(frozen=True, slots=True, config=_WIRE)
class RankedOffer:
    """One place of a ranking; `features` are the offer's, as embedded."""

    offer_id: Id
    """The offer."""
    rank: Annotated[Int, Field(ge=1, le=LIMIT_MAX)]
    """Its place, from 1."""
    score: Float
    """The cosine of both vectors, from -1 to 1: no probability."""
    propensity: Annotated[Float, Field(gt=0, le=1)]
    """The probability that it comes next, given the offers above it; 1 where nothing is explored."""
    features: Features
    """The offer's features, as they were embedded."""
    tower_rank: TowerRank | None = None
    """Its place by `score` alone, from 1; absent where the release has no re-ranker."""
    reranker_score: Float | None = None
    """What `rank` is by, where the release has a re-ranker: finite, on no fixed scale."""


@dataclass(frozen=True, slots=True, config=_WIRE)
class Ranking:
    """The answer to one request, scored by exactly one release."""

    request_id: Id
    """The request that this answers."""
    customer_id: Id
    """The customer of the request."""
    event_time_ms: TimeMs
    """The time of the request."""
    release_id: Id
    """The release that scored all of it."""
    status: Literal["ranked", "nothing_eligible"]
    """Whether any offer could be ranked."""
    eligible_count: Annotated[Int, Field(ge=0)]
    """How many offers could be ranked."""
    excluded: dict[str, Annotated[Int, Field(ge=1)]]
    """How many offers could not, by the rule that took them."""
    features: Features
    """The customer's features, as they were embedded."""
    offers: Annotated[list[RankedOffer], Field(max_length=LIMIT_MAX, fail_fast=True)]
    """The best offers, the best one first."""


@dataclass(frozen=True, slots=True, config=_WIRE)
class Acceptance:
    """A customer's answer to one offer of one ranking."""

    acceptance_id: Id
    """Names the answer; one that is sent again keeps it."""
    request_id: Id
    """The request whose ranking was shown."""
    customer_id: Id
    """The customer of the request."""
    offer_id: Id
    """The offer that was answered; the ranking must hold it."""
    accepted: Bool
    """True: the customer took it; false: declined it."""
    event_time_ms: TimeMs
    """When the customer answered."""
    request_time_ms: TimeMs | None = None
    """The event time of the request; needed where `join.emit` is at_close."""


@dataclass(frozen=True, slots=True, config=_WIRE)
class Erasure:
    """Among the outcomes: joiners forget what this customer requested up to and including that time."""

    customer_id: Id
    """Whom to forget."""
    erased_to_ms: TimeMs
    """Requests up to and including this event time are forgotten."""


Cause = Literal["accepted", "declined", "window_closed", "late_acceptance"]


@dataclass(frozen=True, slots=True, config=_WIRE)
class LabelledOffer:
    """A ranked offer with what is known of its label; `accepted` null: not known yet."""

    offer_id: Id
    """The offer."""
    rank: Annotated[Int, Field(ge=1, le=LIMIT_MAX)]
    """Its place in the ranking, from 1."""
    score: Float
    """As in the ranking."""
    propensity: Annotated[Float, Field(gt=0, le=1)]
    """As in the ranking."""
    features: Features
    """As in the ranking."""
    accepted: Literal[0, 1] | None
    """1: taken, 0: not, null: not known yet."""
    cause: Cause | None
    """What made the label; null: there is none yet."""
    label_time_ms: TimeMs | None
    """When the customer answered, or the window closed; null: there is no label yet."""
    tower_rank: TowerRank | None = None
    """As in the ranking."""
    reranker_score: Float | None = None
    """As in the ranking."""


@dataclass(frozen=True, slots=True, config=_WIRE)
class LabelledRanking:
    """One revision of the labels of one request; the highest revision counts."""

    request_id: Id
    """The request."""
    revision: Annotated[Int, Field(ge=1, le=REVISION_MAX)]
    """The n-th word on its labels; the highest counts."""
    final: Bool
    """Whether the window has closed: only late acceptances may follow."""
    customer_id: Id
    """The customer."""
    request_time_ms: TimeMs
    """The event time of the request."""
    release_id: Id
    """The release that ranked."""
    features: Features
    """The customer's features, as in the ranking."""
    offers: Annotated[list[LabelledOffer], Field(max_length=LIMIT_MAX, fail_fast=True)]
    """The offers that were ranked, with their labels."""


@dataclass(frozen=True, slots=True, config=_WIRE)
class LabelledExample:
    """One row of the training buffer: a labelled ranking taken apart, one per request and offer.

    `keep_prob` is the probability with which a row of its kind was kept when negatives were sampled; 1: all were.
    """

    example_id: Id
    """Derived from request, customer and offer: the same for each revision."""
    revision: Annotated[Int, Field(ge=1)]
    """The revision of the labels; the highest of an example counts."""
    request_id: Id
    """The request."""
    customer_id: Id
    """The customer."""
    offer_id: Id
    """The offer."""
    accepted: Literal[0, 1]
    """1: taken, 0: not."""
    cause: Cause
    """What made the label."""
    customer_features: Features
    """The customer's features, as scored."""
    offer_features: Features
    """The offer's features, as scored."""
    rank: Annotated[Int, Field(ge=1, le=LIMIT_MAX)] | None
    """The offer's place, from 1; null: not known."""
    score: Float | None
    """Its score; null: not known."""
    propensity: Annotated[Float, Field(gt=0, le=1)] | None
    """As in the ranking; null: not known."""
    release_id: Id | None
    """The release that ranked; null: not known."""
    request_time_ms: TimeMs
    """The event time of the request."""
    label_time_ms: TimeMs
    """When the customer answered, or the window closed."""
    exposure: Literal["shown", "assumed"]
    """shown: the customer answered for the offer; assumed: nobody did until the window closed."""
    keep_prob: Annotated[Float, Field(gt=0, le=1)] = 1.0
    """The probability with which a row of its kind was kept when negatives were sampled."""
    tower_rank: TowerRank | None = None
    """The offer's place by the towers' score, from 1; null: its release had no re-ranker, or not known."""
    reranker_score: Float | None = None
    """Its score by the re-ranker; null: its release had none, or not known."""


@dataclass(frozen=True, slots=True, config=_WIRE)
class Offer:
    """An offer as its owner states it; a tombstone on the topic withdraws it.

    Valid from `valid_from_ms` (inclusive) until `valid_until_ms` (exclusive); null: no bound.
    """

    offer_id: Id
    """Names the offer; it is the key of the record, too."""
    features: Features
    """What is known of the offer, by name."""
    active: Bool = True
    """Whether it may be ranked at all."""
    valid_from_ms: TimeMs | None = None
    """It is ranked from this time on; null: from ever."""
    valid_until_ms: TimeMs | None = None
    """It is ranked before this time; null: for ever."""

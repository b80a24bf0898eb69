"""Parses features from JSON text as strictly as on a topic: fast where they are plainly valid, else with a reason."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from pydantic import TypeAdapter, ValidationError

from stream_scorer.adapters.tables.kinds import Misfit, json_object
from stream_scorer.core import messages as contract
from stream_scorer.core.wire.codec import refusal_of
from stream_scorer.core.wire.strict_json import may_hold_nul

_Text = Annotated[str, Meta(max_length=contract.STRING_CHARS_MAX)]
_Name = Annotated[str, Meta(min_length=1, max_length=contract.FEATURE_NAME_CHARS_MAX)]
_decode = msgspec.json.Decoder(
    dict[_Name, float | _Text | bool | Annotated[list[float | _Text], Meta(max_length=contract.BAG_MAX)] | None]
).decode
_OFFER = TypeAdapter(contract.Offer)


def features_of(text: bytes) -> dict[str, Any]:
    """Return the features. Raises Misfit for features that no record of a topic may have."""
    try:
        features: dict[str, Any] = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _strictly(text)
    # every key has its colon, so a count that differs means a repeated key, or a text with a colon: look closely
    if text.count(b":") != len(features) or may_hold_nul(text) or len(features) > contract.FEATURE_NAMES_MAX:
        return _strictly(text)
    return features


def _strictly(text: bytes) -> dict[str, Any]:
    try:
        parsed = json_object(text.decode())
    except UnicodeDecodeError as error:
        raise Misfit(f"is not UTF-8: {error}") from None
    # the smallest message that has features, so that the contract itself judges them
    carrier = {"offer_id": "any", "features": parsed}
    try:
        return dict(_OFFER.validate_python(carrier).features)
    except ValidationError as error:
        raise Misfit(refusal_of(error, carrier).message) from None

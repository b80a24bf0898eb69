"""An offer's change as JSON, the vector in base64."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from pydantic import TypeAdapter, ValidationError

from stream_scorer.adapters.release_blobs import decode_json
from stream_scorer.core.messages import Offer, OfferId, ReleaseId
from stream_scorer.core.release import OfferChange
from stream_scorer.errors import ReleaseError

_encode = msgspec.json.Encoder().encode
_offers = TypeAdapter(list[Offer | None])


@dataclass(frozen=True, slots=True)
class _Change:
    offer_id: OfferId
    offer: dict[str, Any] | None
    vector: bytes
    source: tuple[int, int]


def encode_change(change: OfferChange) -> bytes:
    """Return JSON; redis_scripts.CHANGE reads `source` in it."""
    return _encode(change)


def decode_changes(release_id: ReleaseId, values: Sequence[bytes | None]) -> list[OfferChange]:
    """Raises ReleaseError when one is absent or not a change."""
    what = f"a change of release {release_id}"
    present = [value for value in values if value is not None]
    if len(present) < len(values):
        raise ReleaseError(f"{what} is gone")
    changes = decode_json(b"[" + b",".join(present) + b"]", list[_Change], what)
    try:
        offers = _offers.validate_python([change.offer for change in changes])
    except ValidationError as error:
        raise ReleaseError(f"{what} cannot be read: {error}") from error
    return [OfferChange(change.offer_id, offer, change.vector, change.source) for change, offer in zip(changes, offers, strict=True)]

"""An offer's change as JSON, the vector in base64."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from pydantic import TypeAdapter, ValidationError

from stream_scorer.adapters.redis.blobs import Manifest, decode_json
from stream_scorer.core.messages import Offer, OfferId, ReleaseId
from stream_scorer.core.releases.catalog import ALWAYS_MS, NEVER_MS, Catalog
from stream_scorer.core.releases.change import OfferChange
from stream_scorer.errors import BadModel, ReleaseError

_encode = msgspec.json.Encoder().encode
_offers = TypeAdapter(list[Offer | None])


class _Change(msgspec.Struct):
    offer_id: OfferId
    offer: dict[str, Any] | None
    vector: bytes
    source: tuple[int, int]


class _Stated(msgspec.Struct, gc=False):
    features: msgspec.Raw
    active: bool
    valid_from_ms: int | None
    valid_until_ms: int | None


class _Row(msgspec.Struct, gc=False):
    """A change of which the features stay JSON, as a catalog holds them: a hundred thousand are read in a fraction of a second."""

    offer_id: OfferId
    offer: _Stated | None
    vector: bytes


def encode_change(change: OfferChange) -> bytes:
    """Return JSON; redis_scripts.CHANGE reads `source` in it."""
    return _encode(change)


def decode_changes(release_id: ReleaseId, values: Sequence[bytes | None]) -> list[OfferChange]:
    """Raises ReleaseError when one is absent or not a change."""
    what = f"a change of release {release_id}"
    changes = decode_json(_joined(values, what), list[_Change], what)
    try:
        offers = _offers.validate_python([change.offer for change in changes])
    except ValidationError as error:
        raise ReleaseError(f"{what} cannot be read: {error}") from error
    return [
        OfferChange(change.offer_id, offer, change.vector, change.source)
        for change, offer in zip(changes, offers, strict=True)
    ]


def merge_changes(manifest: Manifest, catalog: Catalog, values: Sequence[bytes | None]) -> Catalog:
    """Return the catalog with all changes of the release in it, at most one an offer. Raises ReleaseError."""
    what = f"a change of release {manifest.release_id}"
    rows = decode_json(_joined(values, what), list[_Row], what)
    stated = [(row.offer_id, row.offer, row.vector) for row in rows if row.offer is not None]
    if any(len(vector) != 4 * manifest.p for _, _, vector in stated):
        raise ReleaseError(f"{what} has a vector that has not {manifest.p} numbers")
    try:
        changed = Catalog.from_columns(
            manifest.release_id,
            offer_ids=[offer_id for offer_id, _, _ in stated],
            vectors=np.frombuffer(b"".join(vector for _, _, vector in stated), np.float32).reshape(
                len(stated), manifest.p
            ),
            fragments=[bytes(offer.features) for _, offer, _ in stated],
            active=np.array([offer.active for _, offer, _ in stated], bool),
            valid_from_ms=np.array([_bound(offer.valid_from_ms, ALWAYS_MS) for _, offer, _ in stated], np.int64),
            valid_until_ms=np.array([_bound(offer.valid_until_ms, NEVER_MS) for _, offer, _ in stated], np.int64),
        )
    except BadModel as error:
        raise ReleaseError(f"{what} cannot be read: {error}") from error
    return catalog.merged(changed, withdrawn=[row.offer_id for row in rows if row.offer is None])


def _bound(bound_ms: int | None, open_ms: int) -> int:
    return open_ms if bound_ms is None else bound_ms


def _joined(values: Sequence[bytes | None], what: str) -> bytes:
    present = [value for value in values if value is not None]
    if len(present) < len(values):
        raise ReleaseError(f"{what} is gone")
    return b"[" + b",".join(present) + b"]"

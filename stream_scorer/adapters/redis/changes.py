"""An offer's change as sealed JSON, with the vector in base64."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from pydantic import TypeAdapter

from stream_scorer.adapters.redis.blobs import ReleaseManifest, decode_json, reading
from stream_scorer.adapters.redis.feature_checks import check_features
from stream_scorer.adapters.redis.seals import Seals
from stream_scorer.core.messages import Offer, OfferId, ReleaseId
from stream_scorer.core.releases.catalog import ALWAYS_MS, NEVER_MS, Catalog
from stream_scorer.core.releases.change import OfferChange
from stream_scorer.errors import ReleaseError

Sealed = Mapping[bytes, bytes | None]  # offer id -> its change, None for a change that is gone

_encode = msgspec.json.Encoder().encode
_offers = TypeAdapter(list[Offer | None])


class _WholeChange(msgspec.Struct):
    offer_id: OfferId
    offer: dict[str, Any] | None
    vector: bytes
    source: tuple[int, int]


class _RawOffer(msgspec.Struct, gc=False):
    features: msgspec.Raw
    active: bool
    valid_from_ms: int | None
    valid_until_ms: int | None


class _RawChange(msgspec.Struct, gc=False):
    """A change whose features stay JSON, as in a catalog, so that 100,000 are read in a fraction of a second."""

    offer_id: OfferId
    offer: _RawOffer | None
    vector: bytes


def encode_change(release_id: ReleaseId, change: OfferChange, seals: Seals) -> bytes:
    """Return the change as sealed JSON, in which scripts.CHANGE reads `source`."""
    return seals.close(_owner(release_id), _encode(change))


def decode_changes(release_id: ReleaseId, sealed: Sealed, seals: Seals) -> list[OfferChange]:
    """Return the changes. Raises ReleaseError for a change that is absent, altered, or stored under another offer."""
    what = _owner(release_id)
    changes = decode_json(_opened(sealed, what, seals), list[_WholeChange], what)
    with reading(what):
        offers = _offers.validate_python([change.offer for change in changes])
        whole = [
            OfferChange(change.offer_id, offer, change.vector, change.source)
            for change, offer in zip(changes, offers, strict=True)
        ]
        # a change states its offer's id, and so does the offer in it: either could be wrong
        _check_ids(sealed, [change.offer_id for change in changes])
        _check_ids(sealed, [OfferId(change.offer.offer_id) if change.offer else change.offer_id for change in whole])
    return whole


def merge_changes(manifest: ReleaseManifest, catalog: Catalog, sealed: Sealed, seals: Seals) -> Catalog:
    """Return the catalog with all changes of the release applied. Raises ReleaseError, as `decode_changes` does."""
    what = _owner(manifest.release_id)
    changes = decode_json(_opened(sealed, what, seals), list[_RawChange], what)
    with reading(what):
        _check_ids(sealed, [change.offer_id for change in changes])
        changed = _changed(manifest, changes)
        return catalog.merged(changed, withdrawn=[change.offer_id for change in changes if change.offer is None])


def _changed(manifest: ReleaseManifest, changes: list[_RawChange]) -> Catalog:
    """Return the changed offers as a catalog of their own. Raises ValueError or BadModel where they are not right."""
    stated = [(change.offer_id, change.offer, change.vector) for change in changes if change.offer is not None]
    if any(len(vector) != 4 * manifest.p for _, _, vector in stated):
        raise ValueError(f"a vector has not {manifest.p} numbers")
    fragments = [bytes(offer.features) for _, offer, _ in stated]
    check_features(fragments)
    vectors = np.frombuffer(b"".join(vector for _, _, vector in stated), np.float32)
    return Catalog.from_columns(
        manifest.release_id,
        offer_ids=[offer_id for offer_id, _, _ in stated],
        vectors=vectors.reshape(len(stated), manifest.p),
        fragments=fragments,
        active=np.array([offer.active for _, offer, _ in stated], bool),
        valid_from_ms=np.array([_bound(offer.valid_from_ms, ALWAYS_MS) for _, offer, _ in stated], np.int64),
        valid_until_ms=np.array([_bound(offer.valid_until_ms, NEVER_MS) for _, offer, _ in stated], np.int64),
    )


def _bound(bound_ms: int | None, open_ms: int) -> int:
    return open_ms if bound_ms is None else bound_ms


def _owner(release_id: ReleaseId) -> str:
    return f"a change of release {release_id}"


def _opened(sealed: Sealed, what: str, seals: Seals) -> bytes:
    """Return all changes as a JSON list. Raises ReleaseError for a change that is gone, or whose seal is not right."""
    # a list is parsed far faster than its elements one after the other
    values = []
    for value in sealed.values():
        if value is None:
            raise ReleaseError(f"{what} is gone")
        values.append(seals.open(what, value))
    return b"[" + b",".join(values) + b"]"


def _check_ids(sealed: Sealed, offer_ids: list[OfferId]) -> None:
    """Raise ValueError for a change that is stored under the id of another offer."""
    if list(sealed) != [offer_id.encode() for offer_id in offer_ids]:
        raise ValueError("it lies at the place of another offer")

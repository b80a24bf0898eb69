"""Works out what the records of the offers topic change in a release: only offers that differ from the release's.

The result does not depend on batching: of several records of an offer, the last that can be embedded counts, whether
they come in a single batch or in several.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xxhash
from pydantic import TypeAdapter, ValidationError

from stream_scorer.core.features.coverage import FeatureCoverage, coverage_of
from stream_scorer.core.messages import Id, Offer, OfferId
from stream_scorer.core.records import DeadLetter, Record
from stream_scorer.core.releases.catalog import ALWAYS_MS, NEVER_MS, Catalog
from stream_scorer.core.releases.change import OfferChange
from stream_scorer.core.releases.vector_faults import vector_faults
from stream_scorer.core.towers.tower import Tower
from stream_scorer.core.wire.codec import decode_all, encode

Fingerprints = Mapping[OfferId, int]  # of every offer in the release; an absent offer is withdrawn, or was never there

_ID: TypeAdapter[str] = TypeAdapter(Id)


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a batch gives.

    `changes` are at most one for an offer, `dead_letters` the records that could not be read or embedded;
    `coverage` says which features of the item tower the offers state.
    """

    changes: list[OfferChange]
    dead_letters: list[DeadLetter]
    coverage: FeatureCoverage


@dataclass(frozen=True, slots=True)
class _OfferRecord:
    """What a record states: an offer, or that it is withdrawn."""

    offer_id: OfferId
    offer: Offer | None
    record: Record

    @property
    def source(self) -> tuple[int, int]:
        return self.record.partition, self.record.offset


def fingerprints_of(catalog: Catalog) -> dict[OfferId, int]:
    """Return, for each offer, a fingerprint of everything that the catalog says about it except its vector."""
    bounds = zip(catalog.active.tolist(), catalog.valid_from_ms.tolist(), catalog.valid_until_ms.tolist(), strict=True)
    rows = zip(catalog.offer_ids, catalog.fragments, bounds, strict=True)
    return {offer_id: _fingerprint(fragment, *bound) for offer_id, fragment, bound in rows}


def fingerprint_of(offer: Offer | None) -> int | None:
    """Return the fingerprint that `fingerprints_of` gives for the offer in a catalog; None for a withdrawn offer."""
    if offer is None:
        return None
    start_ms = ALWAYS_MS if offer.valid_from_ms is None else offer.valid_from_ms
    end_ms = NEVER_MS if offer.valid_until_ms is None else offer.valid_until_ms
    return _fingerprint(encode(offer.features), offer.active, start_ms, end_ms)


def refresh(records: Sequence[Record], held: Fingerprints, item_tower: Tower) -> Refreshed:
    """Return what the records, in order, change in a release.

    `held` are the fingerprints of the release's offers, and `item_tower` made their vectors.
    """
    stated, unread = _read(records)  # offers and withdrawals
    # only what differs is embedded, since embedding takes nearly all of the time
    # The vectors are (p,) float32, by the record that they come from.
    vectors, unfit, coverage = _embed([one for one in stated if _differs(one, held)], item_tower)
    lost = {(letter.record.partition, letter.record.offset) for letter in unfit}
    # a record that cannot be embedded must not hide an earlier record of the same offer that can be
    last = {one.offer_id: one for one in stated if one.source not in lost}
    owed = [one for one in last.values() if _differs(one, held)]
    changes = [OfferChange(one.offer_id, one.offer, vectors.get(one.source, b""), one.source) for one in owed]
    return Refreshed(changes, [*unread, *unfit], coverage)


def _differs(stated: _OfferRecord, held: Fingerprints) -> bool:
    return fingerprint_of(stated.offer) != held.get(stated.offer_id)


def _read(records: Sequence[Record]) -> tuple[list[_OfferRecord], list[DeadLetter]]:
    """Read offers and tombstones, which are records without a value, in the records' order."""
    dead_letters: list[DeadLetter] = []
    stated: list[_OfferRecord] = []
    decoded = decode_all([record for record in records if record.value is not None], Offer)
    offers = {id(record): offer for record, offer in zip(decoded.records, decoded.messages, strict=True)}
    for record in records:
        offer = offers.get(id(record))
        if record.value is None or offer is not None:
            one = _keyed(record, offer)
            (stated if isinstance(one, _OfferRecord) else dead_letters).append(one)  # type: ignore[arg-type]
    return stated, [*decoded.dead_letters, *dead_letters]


def _keyed(record: Record, offer: Offer | None) -> _OfferRecord | DeadLetter:
    """Return a dead letter for a key that is not the offer's id: the topic is partitioned and compacted by the key."""
    try:
        offer_id = OfferId(_ID.validate_python((record.key or b"").decode()))
    except (UnicodeDecodeError, ValidationError):
        return DeadLetter(record, "offer_key", "the key must be the offer id, UTF-8")
    if offer is not None and offer.offer_id != offer_id:
        return DeadLetter(record, "offer_key", "the key must be the offer id, and is another")
    return _OfferRecord(offer_id, offer, record)


def _embed(
    stated: Sequence[_OfferRecord], item_tower: Tower
) -> tuple[dict[tuple[int, int], bytes], list[DeadLetter], FeatureCoverage]:
    stated = [one for one in stated if one.offer is not None]
    features = [one.offer.features for one in stated if one.offer is not None]
    made = item_tower.embed(features, [one.offer_id for one in stated])
    vectors = made.vectors.astype(np.float32)
    faults = vector_faults(vectors, made.errors)
    dead_letters = [DeadLetter(stated[row].record, code, message) for row, (code, message) in sorted(faults.items())]
    fit = {one.source: vectors[row].tobytes() for row, one in enumerate(stated) if row not in faults}
    return fit, dead_letters, coverage_of(item_tower.spec, features, made.errors)


def _fingerprint(fragment: bytes, active: bool, start_ms: int, end_ms: int) -> int:
    return xxhash.xxh3_64_intdigest(b"%d %d %d %b" % (active, start_ms, end_ms, fragment))

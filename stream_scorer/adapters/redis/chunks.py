"""A catalog as chunks of safetensors: vectors, flags and times as arrays, ids and features as JSON bytes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import msgspec
import numpy as np

from stream_scorer.adapters.redis.blobs import Manifest, as_array, checked, decode_json, load_tensors, save_tensors
from stream_scorer.core.messages import OfferId, ReleaseId
from stream_scorer.core.releases.catalog import Catalog, Vectors
from stream_scorer.core.towers.tower import Tensors
from stream_scorer.errors import BadModel, ReleaseError

CHUNK_OFFERS = 4_096


@dataclass(frozen=True, slots=True)
class _Head:
    release_id: ReleaseId
    chunk: int
    offer_ids: list[OfferId]


def encode_chunks(catalog: Catalog) -> Iterator[bytes]:
    """Yield safetensors of CHUNK_OFFERS offers each, at least one chunk."""
    for number, start in enumerate(range(0, max(1, len(catalog)), CHUNK_OFFERS)):
        rows = slice(start, start + CHUNK_OFFERS)
        head = _Head(catalog.release_id, number, catalog.offer_ids[rows])
        fragments = catalog.fragments[rows]
        yield save_tensors(
            {
                "json": as_array(msgspec.json.encode(head)),
                "vectors": catalog.vectors[rows],
                "active": catalog.active[rows].view(np.uint8),
                "valid_from_ms": catalog.valid_from_ms[rows],
                "valid_until_ms": catalog.valid_until_ms[rows],
                "features": as_array(b"".join(fragments)),
                "features_end": np.cumsum([len(fragment) for fragment in fragments], dtype=np.int64),
            }
        )


def decode_chunks(manifest: Manifest, blobs: Iterable[bytes | None]) -> Catalog:
    """Put the chunks together, vectors straight into one matrix.

    Raises ReleaseError for a chunk that is absent, altered, or of another release.
    """
    vectors = np.empty((manifest.offers, manifest.p), np.float32)
    offer_ids: list[OfferId] = []
    chunks: list[Tensors] = []
    for number, (blob, expected) in enumerate(zip(blobs, manifest.chunks, strict=True)):
        what = f"chunk {number} of release {manifest.release_id}"
        chunk = load_tensors(checked(blob, expected, what), what)
        head = decode_json(chunk.pop("json").tobytes(), _Head, what)
        if (head.release_id, head.chunk) != (manifest.release_id, number):
            raise ReleaseError(f"{what} says that it is chunk {head.chunk} of release {head.release_id}")
        rows = slice(len(offer_ids), len(offer_ids) + len(head.offer_ids))
        if vectors[rows].shape != chunk["vectors"].shape:
            raise ReleaseError(f"{what} has vectors of shape {chunk['vectors'].shape}, expected {vectors[rows].shape}")
        vectors[rows] = chunk.pop("vectors")
        offer_ids += head.offer_ids
        chunks.append(chunk)
    return _joined(manifest, offer_ids, vectors, chunks)


def _joined(manifest: Manifest, offer_ids: list[OfferId], vectors: Vectors, chunks: Sequence[Tensors]) -> Catalog:
    if len(offer_ids) != manifest.offers:
        raise ReleaseError(
            f"release {manifest.release_id} has {len(offer_ids)} offers, its manifest says {manifest.offers}"
        )
    columns = {
        name: np.concatenate([chunk[name] for chunk in chunks])
        for name in ("active", "valid_from_ms", "valid_until_ms")
    }
    try:
        return Catalog.from_columns(
            manifest.release_id,
            offer_ids=offer_ids,
            vectors=vectors,
            fragments=list(chain.from_iterable(map(_fragments, chunks))),
            active=columns["active"].view(bool),
            valid_from_ms=columns["valid_from_ms"],
            valid_until_ms=columns["valid_until_ms"],
        )
    except BadModel as error:
        raise ReleaseError(f"release {manifest.release_id} cannot be read: {error}") from error


def _fragments(chunk: Tensors) -> list[bytes]:
    text = chunk["features"].tobytes()
    return [text[start:end] for start, end in pairwise([0, *chunk["features_end"].tolist()])]

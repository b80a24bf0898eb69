"""A catalog and its index as chunks of safetensors.

Vectors, flags, times and list numbers are arrays; ids and features are JSON bytes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from stream_scorer.adapters.redis.blobs import (
    CHUNK_OFFERS,
    ReleaseManifest,
    as_array,
    checked,
    decode_json,
    load_tensors,
    reading,
    save_tensors,
)
from stream_scorer.adapters.redis.feature_checks import check_features
from stream_scorer.core.messages import OfferId, ReleaseId
from stream_scorer.core.releases.catalog import Catalog, Vectors
from stream_scorer.core.releases.offer_index import InvertedFile
from stream_scorer.core.towers.tower import Tensors
from stream_scorer.errors import ReleaseError

INDEX_PART_OFFERS = 262_144
_COLUMNS = ("active", "valid_from_ms", "valid_until_ms")
_KINDS: dict[str, type[np.generic]] = {
    "active": np.uint8,
    "valid_from_ms": np.int64,
    "valid_until_ms": np.int64,
    "features_end": np.int64,
}


@dataclass(frozen=True, slots=True)
class _ChunkHead:
    release_id: ReleaseId
    chunk: int
    offer_ids: list[OfferId]


def encode_chunks(catalog: Catalog) -> Iterator[bytes]:
    """Yield safetensors of CHUNK_OFFERS offers each, fewer in the last; an empty catalog gives an empty chunk."""
    for number, start in enumerate(range(0, max(1, len(catalog)), CHUNK_OFFERS)):
        rows = slice(start, start + CHUNK_OFFERS)
        head = _ChunkHead(catalog.release_id, number, list(catalog.offer_ids[rows]))
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


def decode_chunks(manifest: ReleaseManifest, blobs: Iterable[bytes | None]) -> Catalog:
    """Return the catalog of the chunks. Memory for all vectors is taken at once, so check_sizes must come first.

    Raises ReleaseError for a chunk that is absent, altered, of another release, or not part of a catalog.
    """
    # vectors are copied straight into their matrix: joining them at the end would take twice the memory
    vectors = np.empty((manifest.offers, manifest.p), np.float32)
    offer_ids: list[OfferId] = []
    chunks: list[Tensors] = []
    for number, (blob, expected) in enumerate(zip(blobs, manifest.chunks, strict=True)):
        what = f"chunk {number} of release {manifest.release_id}"
        chunk = load_tensors(checked(blob, expected, what), what)
        with reading(what):
            head = decode_json(chunk.pop("json").tobytes(), _ChunkHead, what)
            _check_head(manifest, head, number)
            rows = slice(len(offer_ids), len(offer_ids) + len(head.offer_ids))
            # beyond the manifest's count the slice is too short, and the shapes differ
            vectors[rows] = _column(chunk.pop("vectors"), np.float32, vectors[rows].shape)
            chunks.append(_columns(chunk, len(head.offer_ids)))
        offer_ids += head.offer_ids
    return _joined(manifest, offer_ids, vectors, chunks)


def _check_head(manifest: ReleaseManifest, head: _ChunkHead, number: int) -> None:
    if (head.release_id, head.chunk) != (manifest.release_id, number):
        raise ReleaseError(
            f"chunk {number} of release {manifest.release_id} says that it is chunk {head.chunk} of "
            f"release {head.release_id}"
        )


def _columns(chunk: Tensors, rows: int) -> Tensors:
    """Return the chunk's columns. Raises ValueError for a column of another type or length than it must have."""
    return {
        **{name: _column(chunk[name], kind, (rows,)) for name, kind in _KINDS.items()},
        "features": _column(chunk["features"], np.uint8, chunk["features"].shape[:1]),
    }


def _column(array: npt.NDArray[Any], kind: type[np.generic], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    if array.dtype != kind or array.shape != shape:
        raise ValueError(f"expected {kind.__name__} of shape {shape}, got {array.dtype} of shape {array.shape}")
    return array


def _joined(
    manifest: ReleaseManifest, offer_ids: list[OfferId], vectors: Vectors, chunks: Sequence[Tensors]
) -> Catalog:
    if len(offer_ids) != manifest.offers:
        raise ReleaseError(
            f"release {manifest.release_id} has {len(offer_ids)} offers, its manifest says {manifest.offers}"
        )
    with reading(f"release {manifest.release_id}"):
        columns = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in _COLUMNS}
        return Catalog.from_columns(
            manifest.release_id,
            offer_ids=offer_ids,
            vectors=vectors,
            fragments=list(chain.from_iterable(map(_fragments, chunks))),
            active=columns["active"] != 0,
            valid_from_ms=columns["valid_from_ms"],
            valid_until_ms=columns["valid_until_ms"],
        )


def _fragments(chunk: Tensors) -> list[bytes]:
    """Return the offers' features. Raises ValueError for what may not be copied onto rankings: see check_features."""
    text, ends = chunk["features"].tobytes(), chunk["features_end"].tolist()
    # ends that rise to the text's length leave no fragment that overlaps another or lies outside
    if ends != sorted(ends) or [0, *ends][-1] != len(text) or min(ends, default=0) < 0:
        raise ValueError("the ends of the features do not fit their text")
    fragments = [text[start:end] for start, end in pairwise([0, *ends])]
    check_features(fragments)
    return fragments


@dataclass(frozen=True, slots=True)
class _PartHead:
    release_id: ReleaseId
    part: int


def encode_index(release_id: ReleaseId, file: InvertedFile) -> Iterator[bytes]:
    """Yield safetensors: the centroids, then the list numbers of INDEX_PART_OFFERS offers each."""
    yield _part(release_id, 0, centroids=file.centroids)
    for number, start in enumerate(range(0, len(file.list_of), INDEX_PART_OFFERS), 1):
        yield _part(release_id, number, list_of=file.list_of[start : start + INDEX_PART_OFFERS])


def _part(release_id: ReleaseId, number: int, **arrays: npt.NDArray[Any]) -> bytes:
    return save_tensors({"json": as_array(msgspec.json.encode(_PartHead(release_id, number))), **arrays})


def decode_index(manifest: ReleaseManifest, blobs: Iterable[bytes | None]) -> InvertedFile | None:
    """Return the index of a release, None where it has none.

    Raises ReleaseError for a part that is absent, altered or of another release, and for an index of other offers.
    """
    if manifest.index is None:
        return None
    what = f"the index of release {manifest.release_id}"
    parts = [
        _decoded_part(manifest, blob, expected, number)
        for number, (blob, expected) in enumerate(zip(blobs, manifest.index.parts, strict=True))
    ]
    with reading(what):
        lists, p = parts[0]["centroids"].shape
        centroids = _column(parts[0]["centroids"], np.float32, (lists, manifest.p))
        list_of = np.concatenate([_column(part["list_of"], np.int32, part["list_of"].shape[:1]) for part in parts[1:]])
        if len(list_of) != manifest.offers or p != manifest.p:
            raise ValueError(f"it is of {len(list_of)} offers with {p} numbers")
        return InvertedFile(centroids, list_of, manifest.index.probes, manifest.index.recall)


def _decoded_part(manifest: ReleaseManifest, blob: bytes | None, expected: str, number: int) -> Tensors:
    what = f"part {number} of the index of release {manifest.release_id}"
    part = load_tensors(checked(blob, expected, what), what)
    with reading(what):
        head = decode_json(part.pop("json").tobytes(), _PartHead, what)
        if (head.release_id, head.part) != (manifest.release_id, number):
            raise ValueError(f"it says that it is part {head.part} of release {head.release_id}")
    return part

"""A release as bytes: a sealed JSON manifest, and safetensors for the towers and for chunks of the catalog.

Every blob names its release, and the manifest has the checksums of all, so that parts of different releases cannot be
read as a whole. Whatever the bytes are, reading them returns what was written or raises ReleaseError, and takes no more
memory than a small multiple of their size.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from stream_scorer.adapters.redis.seals import Seals
from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.reranking.stored_reranker import reranker_from
from stream_scorer.core.towers.program_tower import OpenProgram
from stream_scorer.core.towers.reranker import Reranker
from stream_scorer.core.towers.stored_towers import DIM_MAX, tower_from
from stream_scorer.core.towers.tower import Tensors, Tower
from stream_scorer.errors import BadModel, ReleaseError

FORMAT = 2
FORMAT_RERANKED = 3
"""Of a release with a re-ranker: a version that knows of none would rank by the towers alone, and must refuse it."""
RERANKER_PART_BYTES = 2**24
CHUNK_OFFERS = 4_096
MANIFEST_BYTES_MAX = 2**26
TOWERS = ("user_tower", "item_tower")
_REASON_CHARS_MAX = 200

Read = TypeVar("Read")
Text = npt.NDArray[np.uint8]

# what reading foreign bytes may raise; all bytes are foreign, since whoever wrote them can also give a checksum
_DAMAGE = (
    BadModel,
    SafetensorError,
    msgspec.MsgspecError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Raise ReleaseError, which names `what`, for whatever goes wrong inside the block over foreign bytes."""
    try:
        yield
    except _DAMAGE as error:
        reason = (str(error) or type(error).__name__)[:_REASON_CHARS_MAX]
        raise ReleaseError(f"{what} cannot be read: {reason}") from error


@dataclass(frozen=True, slots=True)
class StoredIndex:
    """The parts of a release's index, as SHA-256 checksums: the centroids, then the offers' list numbers in order."""

    parts: list[str]
    probes: int
    recall: float


@dataclass(frozen=True, slots=True)
class StoredReranker:
    """The parts of a release's re-ranker, as SHA-256 checksums, and its kind."""

    kind: str
    parts: list[str]


@dataclass(frozen=True, slots=True)
class ReleaseManifest:
    """The parts of a release.

    `chunks` and `towers` are SHA-256 checksums, `p` is the length of the vectors, and `forced` are the gate's faults
    that publish was forced to overlook. `index` is None for a release that is always ranked exactly. `reranker` is not
    set, and not written, for a release without one.
    """

    format: int
    release_id: ReleaseId
    model_id: str
    created_ms: int
    p: int
    offers: int
    chunks: list[str]
    towers: dict[str, str]
    facts: dict[str, Any]
    forced: list[str]
    index: StoredIndex | None = None
    reranker: StoredReranker | msgspec.UnsetType = msgspec.UNSET


def checksum(blob: bytes) -> str:
    """Return the SHA-256 in hex."""
    return hashlib.sha256(blob).hexdigest()


def checked(blob: bytes | None, expected: str, what: str) -> bytes:
    """Return the blob. Raises ReleaseError for a blob that is absent, or whose checksum is another than expected."""
    if blob is None:
        raise ReleaseError(f"{what} is gone")
    if checksum(blob) != expected:
        raise ReleaseError(f"{what} is not what its manifest says")
    return blob


class _AnyFormat(msgspec.Struct):
    format: int


def encode_manifest(manifest: ReleaseManifest, seals: Seals) -> bytes:
    """Return the manifest as sealed JSON, with the keys in the order of its fields."""
    return seals.close(_owner(manifest.release_id), msgspec.json.encode(manifest))


def decode_manifest(release_id: ReleaseId, blob: bytes, seals: Seals) -> ReleaseManifest:
    """Return the manifest. Raises ReleaseError if it was altered, or is of another format or another release."""
    what = _owner(release_id)
    if len(blob) > MANIFEST_BYTES_MAX:
        raise ReleaseError(f"{what} has more than {MANIFEST_BYTES_MAX} bytes")
    # before the seal, so that a manifest of another version is refused as such, and not as damaged
    if (written := decode_json(blob, _AnyFormat, what).format) not in (FORMAT, FORMAT_RERANKED):
        raise ReleaseError(
            f"release {release_id} has format {written}, this version reads {FORMAT} and {FORMAT_RERANKED}: "
            "publish again"
        )
    manifest = decode_json(seals.open(what, blob), ReleaseManifest, what)
    if manifest.release_id != release_id:
        raise ReleaseError(f"{what} names {manifest.release_id}")
    if manifest.towers.keys() != set(TOWERS):
        raise ReleaseError(f"{what} must name a user tower and an item tower, and no more")
    if (manifest.format == FORMAT_RERANKED) != (manifest.reranker is not msgspec.UNSET):
        raise ReleaseError(f"{what} must be of format {FORMAT_RERANKED} exactly where it names a re-ranker")
    return manifest


def _owner(release_id: str) -> str:
    return f"the manifest of release {release_id}"


def check_sizes(manifest: ReleaseManifest, sizes: Sequence[int], bytes_max: int) -> None:
    """Raise ReleaseError, before anything is read, for a release that is too large or is smaller than it claims.

    `sizes` are the bytes of its values.
    """
    what = f"release {manifest.release_id}"
    if not 0 <= manifest.offers <= CHUNK_OFFERS * len(manifest.chunks) or not 1 <= manifest.p <= DIM_MAX:
        raise ReleaseError(
            f"{what} cannot have {manifest.offers} offers of {manifest.p} numbers in {len(manifest.chunks)} chunks"
        )
    if (total := sum(sizes)) > bytes_max:
        raise ReleaseError(f"{what} has {total} bytes, more than redis.release_bytes_max, {bytes_max}")
    # memory for all vectors is taken at once, so a small release must not claim many
    if 4 * manifest.offers * manifest.p > total:
        raise ReleaseError(f"{what} has {total} bytes, too few for {manifest.offers} offers of {manifest.p} numbers")


def decode_json(blob: bytes, kind: type[Read], what: str) -> Read:
    """Return the value. Raises ReleaseError, which names `what`, for bytes that are not JSON of this kind."""
    with reading(what):
        return msgspec.json.decode(blob, type=kind)


@dataclass(frozen=True, slots=True)
class _TowerHead:
    release_id: str
    structure: dict[str, Any]


def encode_tower(release_id: ReleaseId, tower: Tower) -> bytes:
    """Return a tower as safetensors: its arrays, and its structure as JSON bytes."""
    head = msgspec.json.encode(_TowerHead(release_id, tower.structure()))
    return save_tensors({"json": as_array(head)} | {f"tower.{name}": array for name, array in tower.tensors().items()})


def decode_tower(release_id: ReleaseId, blob: bytes, open_program: OpenProgram | None = None) -> Tower:
    """Return the tower. Raises ReleaseError for bytes that make no tower, or that name another release."""
    what = f"a tower of release {release_id}"
    tensors = load_tensors(blob, what)
    with reading(what):
        head = decode_json(tensors.pop("json").tobytes(), _TowerHead, what)
        if head.release_id != release_id:
            raise ReleaseError(f"{what} names {head.release_id}")
        arrays = {name.removeprefix("tower."): array for name, array in tensors.items()}
        return tower_from(head.structure, arrays, open_program)


def encode_reranker(release_id: ReleaseId, reranker: Reranker) -> list[bytes]:
    """Return a re-ranker as safetensors, as a tower is, cut into parts of RERANKER_PART_BYTES."""
    head = as_array(msgspec.json.encode(_TowerHead(release_id, reranker.structure())))
    arrays = {f"reranker.{name}": array for name, array in reranker.tensors().items()}
    whole = save_tensors({"json": head} | arrays)
    return [whole[start : start + RERANKER_PART_BYTES] for start in range(0, len(whole), RERANKER_PART_BYTES)]


def decode_reranker(manifest: ReleaseManifest, parts: Iterable[bytes | None]) -> Reranker | None:
    """Return the re-ranker, None where the release has none. Raises ReleaseError as `decode_tower` does."""
    if isinstance(manifest.reranker, msgspec.UnsetType):
        return None
    what = f"the re-ranker of release {manifest.release_id}"
    named = zip(parts, manifest.reranker.parts, strict=True)
    tensors = load_tensors(b"".join(checked(part, expected, what) for part, expected in named), what)
    with reading(what):
        head = decode_json(tensors.pop("json").tobytes(), _TowerHead, what)
        if head.release_id != manifest.release_id:
            raise ReleaseError(f"{what} names {head.release_id}")
        arrays = {name.removeprefix("reranker."): array for name, array in tensors.items()}
        reranker = reranker_from(head.structure, arrays)
        if reranker.kind != manifest.reranker.kind:
            raise ReleaseError(f"{what} is of kind {reranker.kind}, its manifest says {manifest.reranker.kind:.20}")
        return reranker


def load_tensors(blob: bytes, what: str) -> Tensors:
    """Return the arrays. Raises ReleaseError, which names `what`, for bytes that are not safetensors."""
    with reading(what):
        return load(blob)


def save_tensors(tensors: Tensors) -> bytes:
    """Return safetensors; the same arrays always give the same bytes."""
    return bytes(save({name: np.ascontiguousarray(array) for name, array in tensors.items()}))


def as_array(text: bytes) -> Text:
    """Return the bytes as an array, since safetensors stores nothing else."""
    return np.frombuffer(text, dtype=np.uint8)

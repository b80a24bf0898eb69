"""What a release looks like as bytes: a sealed JSON manifest, and safetensors for towers and for chunks of the catalog.

Every blob names its release and every checksum stands in the manifest, so a mixed set cannot be read. Whatever the
bytes are, reading them gives what was written or a ReleaseError, and takes no more memory than a small multiple of what
they are.
"""

import hashlib
from collections.abc import Iterator, Sequence
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
from stream_scorer.core.towers.program_tower import OpenProgram
from stream_scorer.core.towers.stored_towers import DIM_MAX, tower_from
from stream_scorer.core.towers.tower import Tensors, Tower
from stream_scorer.errors import BadModel, ReleaseError

FORMAT = 2
CHUNK_OFFERS = 4_096
MANIFEST_BYTES_MAX = 2**26
_REASON_CHARS_MAX = 200

Read = TypeVar("Read")
Text = npt.NDArray[np.uint8]

# what reading bytes that are not ours raises: they are foreign, whatever their checksum says
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
    """Turn whatever goes wrong over foreign bytes into a ReleaseError that names `what`."""
    try:
        yield
    except _DAMAGE as error:
        reason = (str(error) or type(error).__name__)[:_REASON_CHARS_MAX]
        raise ReleaseError(f"{what} cannot be read: {reason}") from error


@dataclass(frozen=True, slots=True)
class ReleaseManifest:
    """What a release consists of.

    Checksums are sha256, `forced` are the gate's faults that publish was told to overlook.
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


def checksum(blob: bytes) -> str:
    """Return the sha256 in hex."""
    return hashlib.sha256(blob).hexdigest()


def checked(blob: bytes | None, expected: str, what: str) -> bytes:
    """Return the blob. Raises ReleaseError for one that is absent or altered."""
    if blob is None:
        raise ReleaseError(f"{what} is gone")
    if checksum(blob) != expected:
        raise ReleaseError(f"{what} is not what its manifest says")
    return blob


class _AnyFormat(msgspec.Struct):
    format: int


def encode_manifest(manifest: ReleaseManifest, seals: Seals) -> bytes:
    """Return sealed JSON with the keys in order."""
    return seals.close(_owner(manifest.release_id), msgspec.json.encode(manifest))


def decode_manifest(release_id: ReleaseId, blob: bytes, seals: Seals) -> ReleaseManifest:
    """Raises ReleaseError for a manifest that was altered, or is of another format or of another release."""
    what = _owner(release_id)
    if len(blob) > MANIFEST_BYTES_MAX:
        raise ReleaseError(f"{what} has more than {MANIFEST_BYTES_MAX} bytes")
    if (written := decode_json(blob, _AnyFormat, what).format) != FORMAT:
        raise ReleaseError(f"release {release_id} has format {written}, this version reads {FORMAT}: publish again")
    manifest = decode_json(seals.open(what, blob), ReleaseManifest, what)
    if manifest.release_id != release_id:
        raise ReleaseError(f"{what} names {manifest.release_id}")
    if manifest.towers.keys() != {"user_tower", "item_tower"}:
        raise ReleaseError(f"{what} must name a user tower and an item tower, and no more")
    return manifest


def _owner(release_id: str) -> str:
    return f"the manifest of release {release_id}"


def check_sizes(manifest: ReleaseManifest, sizes: Sequence[int], bytes_max: int) -> None:
    """Refuse what a release would take before it is taken; `sizes` are its values' bytes. Raises ReleaseError."""
    what = f"release {manifest.release_id}"
    if not 0 <= manifest.offers <= CHUNK_OFFERS * len(manifest.chunks) or not 1 <= manifest.p <= DIM_MAX:
        raise ReleaseError(
            f"{what} cannot have {manifest.offers} offers of {manifest.p} numbers in {len(manifest.chunks)} chunks"
        )
    if (total := sum(sizes)) > bytes_max:
        raise ReleaseError(f"{what} has {total} bytes, more than redis.release_bytes_max, {bytes_max}")
    if 4 * manifest.offers * manifest.p > total:
        raise ReleaseError(f"{what} has {total} bytes, too few for {manifest.offers} offers of {manifest.p} numbers")


def decode_json(blob: bytes, kind: type[Read], what: str) -> Read:
    """Raises ReleaseError that names `what`."""
    with reading(what):
        return msgspec.json.decode(blob, type=kind)


@dataclass(frozen=True, slots=True)
class _TowerHead:
    release_id: str
    structure: dict[str, Any]


def encode_tower(release_id: ReleaseId, tower: Tower) -> bytes:
    """Return safetensors: the arrays, and the structure as JSON bytes."""
    head = msgspec.json.encode(_TowerHead(release_id, tower.structure()))
    return save_tensors({"json": as_array(head)} | {f"tower.{name}": array for name, array in tower.tensors().items()})


def decode_tower(release_id: ReleaseId, blob: bytes, open_program: OpenProgram | None = None) -> Tower:
    """See encode_tower. Raises ReleaseError."""
    what = f"a tower of release {release_id}"
    tensors = load_tensors(blob, what)
    with reading(what):
        head = decode_json(tensors.pop("json").tobytes(), _TowerHead, what)
        if head.release_id != release_id:
            raise ReleaseError(f"{what} names {head.release_id}")
        arrays = {name.removeprefix("tower."): array for name, array in tensors.items()}
        return tower_from(head.structure, arrays, open_program)


def load_tensors(blob: bytes, what: str) -> Tensors:
    """Raises ReleaseError that names `what`."""
    with reading(what):
        return load(blob)


def save_tensors(tensors: Tensors) -> bytes:
    """Return safetensors; the same tensors give the same bytes."""
    return bytes(save({name: np.ascontiguousarray(array) for name, array in tensors.items()}))


def as_array(text: bytes) -> Text:
    """Return the bytes as an array, which safetensors can hold."""
    return np.frombuffer(text, dtype=np.uint8)

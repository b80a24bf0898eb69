"""What a release looks like as bytes: a JSON manifest, and safetensors for towers and for chunks of the catalog.

Every blob names its release and every checksum stands in the manifest, so a mixed set cannot be read.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.towers.program_tower import OpenProgram
from stream_scorer.core.towers.stored_towers import tower_from
from stream_scorer.core.towers.tower import Tensors, Tower
from stream_scorer.errors import BadModel, ReleaseError

FORMAT = 1

Read = TypeVar("Read")
Text = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a release consists of; checksums are sha256, `forced` are the gate's faults that publish was told to overlook."""

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


def encode_manifest(manifest: Manifest) -> bytes:
    """Return JSON with the keys in order."""
    return msgspec.json.encode(manifest)


def decode_manifest(release_id: ReleaseId, blob: bytes | None) -> Manifest:
    """Raises ReleaseError for a manifest that is absent, of another format or of another release."""
    if blob is None:
        raise ReleaseError(f"release {release_id} has no manifest: it was never written, or has expired")
    manifest = decode_json(blob, Manifest, f"the manifest of release {release_id}")
    if manifest.format != FORMAT:
        raise ReleaseError(f"release {release_id} has format {manifest.format}, this version reads {FORMAT}")
    if manifest.release_id != release_id:
        raise ReleaseError(f"the manifest of release {release_id} names {manifest.release_id}")
    return manifest


def decode_json(blob: bytes, kind: type[Read], what: str) -> Read:
    """Raises ReleaseError that names `what`."""
    try:
        return msgspec.json.decode(blob, type=kind)
    except msgspec.DecodeError as error:
        raise ReleaseError(f"{what} cannot be read: {error}") from error


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
    tensors = load_tensors(blob, f"a tower of release {release_id}")
    head = decode_json(tensors["json"].tobytes(), _TowerHead, f"a tower of release {release_id}")
    if head.release_id != release_id:
        raise ReleaseError(f"a tower of release {release_id} names {head.release_id}")
    arrays = {name.removeprefix("tower."): array for name, array in tensors.items() if name.startswith("tower.")}
    try:
        return tower_from(head.structure, arrays, open_program)
    except BadModel as error:
        raise ReleaseError(f"a tower of release {release_id} cannot be rebuilt: {error}") from error


def load_tensors(blob: bytes, what: str) -> Tensors:
    """Raises ReleaseError that names `what`."""
    try:
        return load(blob)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ReleaseError(f"{what} cannot be read: {error}") from error


def save_tensors(tensors: Tensors) -> bytes:
    """Return safetensors; the same tensors give the same bytes."""
    return bytes(save({name: np.ascontiguousarray(array) for name, array in tensors.items()}))


def as_array(text: bytes) -> Text:
    """Return the bytes as an array, which safetensors can hold."""
    return np.frombuffer(text, dtype=np.uint8)

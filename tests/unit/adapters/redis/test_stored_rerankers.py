"""A re-ranker as bytes: back as it was, in bounded parts, and refused where anything of it is another."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from stream_scorer.adapters.redis import blobs
from stream_scorer.adapters.redis.blobs import (
    FORMAT_RERANKED,
    ReleaseManifest,
    StoredReranker,
    checksum,
    decode_manifest,
    decode_reranker,
    encode_manifest,
    encode_reranker,
)
from stream_scorer.adapters.redis.seals import Seals
from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.towers.reranker import Reranker
from stream_scorer.errors import ReleaseError
from tests.reranking_samples import CUSTOMER_IDS, CUSTOMER_ROWS, OFFER_IDS, OFFER_ROWS, network, shortlisted, trees

RELEASE = ReleaseId("r-1")


def manifest_of(parts: list[bytes], kind: str = "network", written: int = FORMAT_RERANKED) -> ReleaseManifest:
    stored = StoredReranker(kind, [checksum(part) for part in parts])
    towers = dict.fromkeys(("user_tower", "item_tower"), "")
    return ReleaseManifest(written, RELEASE, "m-1", 0, 4, 0, [], towers, {}, [], None, stored)


@pytest.mark.parametrize("reranker", [network(), trees()], ids=["network", "trees"])
@pytest.mark.parametrize("part_bytes", [100, 2**24])
def test_a_reranker_scores_alike_afterwards(
    reranker: Reranker, part_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "RERANKER_PART_BYTES", part_bytes)
    parts = encode_reranker(RELEASE, reranker)
    assert max(map(len, parts)) <= part_bytes
    again = decode_reranker(manifest_of(parts, reranker.kind), parts)
    assert again is not None
    scores = [
        one.scores(CUSTOMER_ROWS, CUSTOMER_IDS, shortlisted(), one.offer_side(OFFER_ROWS, OFFER_IDS)).tobytes()
        for one in (reranker, again)
    ]
    assert scores[0] == scores[1]


PARTS = encode_reranker(RELEASE, network())


def _named() -> tuple[ReleaseManifest, list[bytes | None]]:
    parts = encode_reranker(ReleaseId("r-2"), network())
    return manifest_of(parts), [*parts]


def _with_nan() -> tuple[ReleaseManifest, list[bytes | None]]:
    parts = encode_reranker(RELEASE, replace(network(), pair=np.full_like(network().pair, np.nan)))
    return manifest_of(parts), [*parts]


WRONG: dict[str, Callable[[], tuple[ReleaseManifest, list[bytes | None]]]] = {
    "gone": lambda: (manifest_of(PARTS), [None]),
    "altered": lambda: (manifest_of(PARTS), [PARTS[0][:-1] + b"\x01"]),
    "of another release": _named,
    "of another kind": lambda: (manifest_of(PARTS, "trees"), [*PARTS]),
    "no safetensors": lambda: (manifest_of([b"x"]), [b"x"]),
    "not finite": _with_nan,
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_reranker_is_refused(wrong: Callable[[], tuple[ReleaseManifest, list[bytes | None]]]) -> None:
    manifest, parts = wrong()
    with pytest.raises(ReleaseError, match="the re-ranker of release r-1"):
        decode_reranker(manifest, parts)


def test_older_versions_refuse_a_release_with_one() -> None:
    seals = Seals()
    sealed = encode_manifest(manifest_of(PARTS), seals)
    assert msgspec.json.decode(sealed)["format"] == FORMAT_RERANKED > blobs.FORMAT
    assert decode_manifest(RELEASE, sealed, seals) == manifest_of(PARTS)
    with pytest.raises(ReleaseError, match="exactly where it names a re-ranker"):
        decode_manifest(RELEASE, encode_manifest(manifest_of(PARTS, written=blobs.FORMAT), seals), seals)


def test_manifests_without_one_are_as_before() -> None:
    plain = replace(manifest_of([], written=blobs.FORMAT), reranker=msgspec.UNSET)
    sealed = encode_manifest(plain, Seals())
    assert b"reranker" not in sealed
    assert decode_manifest(RELEASE, sealed, Seals()) == plain

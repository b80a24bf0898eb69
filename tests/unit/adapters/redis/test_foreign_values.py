"""Whatever lies in a value's place, its reader gives a value or ReleaseError, in memory of the value's own order."""

import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load

from stream_scorer.adapters.redis.blobs import (
    FORMAT,
    ReleaseManifest,
    StoredIndex,
    as_array,
    check_sizes,
    checksum,
    decode_manifest,
    decode_tower,
    encode_manifest,
    encode_tower,
    save_tensors,
)
from stream_scorer.adapters.redis.changes import decode_changes, encode_change, merge_changes
from stream_scorer.adapters.redis.chunks import decode_chunks, decode_index, encode_chunks, encode_index
from stream_scorer.adapters.redis.seals import Seals
from stream_scorer.core.messages import OfferId, ReleaseId
from stream_scorer.errors import ReleaseError
from tests.foreign_bytes import damaged, edited
from tests.release_samples import change, indexed_release, model, offer, release

EXAMPLES = settings(max_examples=80)
BYTES_MAX = 100_000
SPARE_BYTES = 4_000_000  # what the interpreter and the libraries keep for themselves

MODEL = model(1)
RELEASE = release(MODEL, [offer(number) for number in range(3)])
ID = RELEASE.release_id
SEALS = Seals()
OWNER = f"the manifest of release {ID}"
TOWER = encode_tower(ID, MODEL.user_tower)
CHUNK = next(encode_chunks(RELEASE.catalog))
CHANGE = encode_change(ID, change(MODEL, offer(1), 3), SEALS)
MANIFEST = ReleaseManifest(
    format=FORMAT,
    release_id=ID,
    model_id=MODEL.model_id,
    created_ms=1,
    p=RELEASE.catalog.dim,
    offers=3,
    chunks=[checksum(CHUNK)],
    towers={"user_tower": checksum(TOWER), "item_tower": checksum(TOWER)},
    facts=MODEL.facts,
    forced=[],
)
SEALED = encode_manifest(MANIFEST, SEALS)
FEATURES = [{}, {"price": 1e300, "colour": "green"}, {"price": "1", "colour": True}, {"price": None, "x": [1]}]

KINDS = [np.float16, np.float32, np.float64, np.int8, np.int64, np.uint8, np.bool_]
SHAPES = [(), (0,), (1,), (3,), (4,), (3, 4), (3, 0), (0, 4), (5, 3), (1, 1, 1)]
arrays = st.builds(lambda kind, shape, fill: np.full(shape, fill).astype(kind),
                   st.sampled_from(KINDS), st.sampled_from(SHAPES), st.sampled_from([0, 1, -1, 300]))  # fmt: skip


def bounded(read: Callable[[], object], size: int) -> object:
    """Return the value, or None for ReleaseError; nothing else may come out, nor much memory go in."""
    tracemalloc.start()
    try:
        return read()
    except ReleaseError:
        return None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= SPARE_BYTES + 200 * size


def with_array(whole: bytes, arrays_of: Mapping[str, Any]) -> bytes:
    return save_tensors({**load(whole), **arrays_of})


def sealed(owner: str, value: bytes) -> bytes:
    return SEALS.close(owner, value) if value.startswith(b"{") else value


def unsealed(owner: str, value: bytes) -> bytes:
    return SEALS.open(owner, value)


@EXAMPLES
@given(value=st.one_of(damaged(SEALED), edited(unsealed(OWNER, SEALED)).map(lambda text: sealed(OWNER, text))))
def test_any_manifest_is_read_or_refused(value: bytes) -> None:
    manifest = bounded(lambda: decode_manifest(ID, value, SEALS), len(value))
    if isinstance(manifest, ReleaseManifest):
        bounded(lambda: check_sizes(manifest, [len(value), len(TOWER), len(TOWER), len(CHUNK)], BYTES_MAX), len(value))


@EXAMPLES
@given(value=damaged(SEALED), key=st.sampled_from([None, b"k"]))
def test_any_value_is_unsealed_or_refused(value: bytes, key: bytes | None) -> None:
    opened = bounded(lambda: Seals(key).open(OWNER, value), len(value))
    assert opened is None or (value == SEALED and key is None)


def embeds(value: bytes) -> None:
    """A tower that was read must embed whatever a request may bring."""
    tower: Any = bounded(lambda: decode_tower(ID, value), len(value))
    if tower is not None:
        vectors = tower.embed(FEATURES, [str(number) for number in range(len(FEATURES))]).vectors
        assert np.isfinite(vectors).all()


@EXAMPLES
@given(value=damaged(TOWER))
def test_any_tower_bytes_are_read_or_refused(value: bytes) -> None:
    embeds(value)


@EXAMPLES
@given(head=edited(bytes(load(TOWER)["json"])))
def test_any_tower_structure_is_read_or_refused(head: bytes) -> None:
    embeds(with_array(TOWER, {"json": as_array(head)}))


@EXAMPLES
@given(name=st.sampled_from(sorted(load(TOWER))), array=arrays)
def test_any_tower_array_is_read_or_refused(name: str, array: Any) -> None:
    embeds(with_array(TOWER, {name: array}))


def read_chunk(value: bytes) -> object:
    manifest = replace(MANIFEST, chunks=[checksum(value)])
    return bounded(lambda: decode_chunks(manifest, [value]), len(value))


@EXAMPLES
@given(value=damaged(CHUNK))
def test_any_chunk_bytes_are_read_or_refused(value: bytes) -> None:
    read_chunk(value)


@EXAMPLES
@given(name=st.sampled_from(sorted(load(CHUNK))), array=arrays)
def test_any_chunk_array_is_read_or_refused(name: str, array: Any) -> None:
    read_chunk(with_array(CHUNK, {name: array}))


@EXAMPLES
@given(head=edited(bytes(load(CHUNK)["json"])))
def test_any_chunk_head_is_read_or_refused(head: bytes) -> None:
    read_chunk(with_array(CHUNK, {"json": as_array(head)}))


@EXAMPLES
@given(text=edited(b"".join(RELEASE.catalog.fragments[:1])))
def test_any_chunk_features_are_read_or_refused(text: bytes) -> None:
    ends = np.array([len(text), len(text) + 2, len(text) + 4])
    read_chunk(with_array(CHUNK, {"features": as_array(text + b"{}{}"), "features_end": ends}))


@pytest.mark.parametrize(
    ("text", "ends", "whole"),
    [
        (b"{}{}{}", [2, 4, 6], True),
        (b"[]{}{}", [2, 4, 6], False),
        (b"{}{}{}", [-4, 4, 6], False),
        (b"{}{}{}", [2, 4, 7], False),
        (b"{}{}{}{}", [2, 4, 6], False),
    ],
)
def test_each_offer_has_an_object(text: bytes, ends: list[int], whole: bool) -> None:
    value = with_array(CHUNK, {"features": as_array(text), "features_end": np.array(ends)})
    assert (read_chunk(value) is not None) == whole


INDEXED = indexed_release(MODEL, [offer(number) for number in range(3)])
assert INDEXED.catalog.nearest is not None
CENTROIDS, LISTS = encode_index(ID, INDEXED.catalog.nearest.file)


def read_index(*parts: bytes, probes: int = 1) -> Any:
    index = StoredIndex([checksum(part) for part in parts], probes, 0.99)
    return bounded(lambda: decode_index(replace(MANIFEST, index=index), parts), sum(map(len, parts)))


def test_a_whole_index_is_read() -> None:
    assert read_index(CENTROIDS, LISTS).list_of.tolist() == [0, 1, 0]
    assert decode_index(MANIFEST, []) is None


@EXAMPLES
@given(value=damaged(LISTS))
def test_any_list_bytes_are_read_or_refused(value: bytes) -> None:
    read_index(CENTROIDS, value)


@EXAMPLES
@given(name=st.sampled_from(["json", "centroids", "list_of"]), array=arrays)
def test_any_index_array_is_read_or_refused(name: str, array: Any) -> None:
    for parts in ((with_array(CENTROIDS, {name: array}), LISTS), (CENTROIDS, with_array(LISTS, {name: array}))):
        index = read_index(*parts)
        if index is not None:  # what was read is searched without a look at its numbers
            assert index.centroids.shape[1] == MANIFEST.p
            assert len(index.list_of) == MANIFEST.offers
            assert set(index.list_of.tolist()) <= set(range(len(index.centroids)))


@pytest.mark.parametrize(
    "read",
    [
        read_index,
        lambda: read_index(CENTROIDS),
        lambda: read_index(LISTS, CENTROIDS),
        lambda: read_index(CENTROIDS, LISTS, LISTS),
        lambda: read_index(CENTROIDS, LISTS, probes=0),
        lambda: read_index(CENTROIDS, LISTS, probes=3),
        lambda: read_index(*encode_index(ReleaseId("r-other"), INDEXED.catalog.nearest.file)),
    ],
)
def test_an_index_in_parts_is_refused(read: Callable[[], Any]) -> None:
    assert read() is None


def test_an_altered_index_is_refused() -> None:
    index = StoredIndex([checksum(CENTROIDS), "0" * 64], 1, 0.99)
    with pytest.raises(ReleaseError, match=r"part 1 of the index .* is not what its manifest says"):
        decode_index(replace(MANIFEST, index=index), [CENTROIDS, LISTS])


CHANGE_OWNER = f"a change of release {ID}"
changed = st.one_of(
    damaged(CHANGE), edited(unsealed(CHANGE_OWNER, CHANGE)).map(lambda text: sealed(CHANGE_OWNER, text))
)


@EXAMPLES
@given(value=changed)
def test_any_change_is_followed_or_refused(value: bytes) -> None:
    followed: Any = bounded(lambda: decode_changes(ID, {b"offer-1": value}, SEALS), len(value))
    if followed is not None:
        assert [each.offer_id for each in followed] == ["offer-1"]


def test_a_change_of_two_offers_is_refused() -> None:
    mixed = replace(change(MODEL, offer(1), 3), offer_id=OfferId("offer-2"))
    with pytest.raises(ReleaseError, match="the place of another offer"):
        decode_changes(ID, {b"offer-2": encode_change(ID, mixed, SEALS)}, SEALS)


@EXAMPLES
@given(value=changed)
def test_any_change_is_merged_or_refused(value: bytes) -> None:
    merged: Any = bounded(lambda: merge_changes(MANIFEST, RELEASE.catalog, {b"offer-1": value}, SEALS), len(value))
    if merged is not None:
        assert set(merged.offer_ids) <= set(RELEASE.catalog.offer_ids)


@EXAMPLES
@given(value=changed)
def test_following_and_merging_a_change_agree(value: bytes) -> None:
    """A ranker that follows and one that starts anew must hold the same catalog, or neither."""
    stored = {b"offer-1": value}
    followed: Any = bounded(lambda: decode_changes(ID, stored, SEALS), len(value))
    merged: Any = bounded(lambda: merge_changes(MANIFEST, RELEASE.catalog, stored, SEALS), len(value))
    if followed is not None and merged is not None:
        with_changes = RELEASE.catalog.with_changes(followed)
        assert (with_changes.offer_ids, with_changes.active.tolist()) == (merged.offer_ids, merged.active.tolist())

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_scorer.core.messages import OfferId
from stream_scorer.core.releases.packed_texts import PackedIds, PackedIndex, PackedTexts, pack, slots_of

IDS = st.lists(st.text(max_size=5), unique=True, max_size=40)


def packed(texts: list[bytes]) -> PackedTexts:
    return PackedTexts(*pack(texts))


def index_of(ids: list[str]) -> PackedIndex:
    encoded = [one.encode() for one in ids]
    return PackedIndex(PackedIds(packed(encoded)), slots_of(encoded))


@given(st.lists(st.binary(max_size=5)))
def test_packed_texts_read_as_a_list(texts: list[bytes]) -> None:
    sequence = packed(texts)
    assert list(sequence) == texts
    assert [sequence[row] for row in range(-len(texts), len(texts))] == texts * 2
    assert sequence[1:-1] == texts[1:-1]


def test_rows_beyond_the_end_are_refused() -> None:
    with pytest.raises(IndexError):
        packed([b"a"])[1]


def test_restated_texts_leave_the_others() -> None:
    before = packed([b"a", b"bb", b"c"])
    after = before.restated([1], [b"longer"]).restated([0], [b""])
    assert (list(before), list(after)) == ([b"a", b"bb", b"c"], [b"", b"longer", b"c"])
    assert after.take(np.array([2, 1])) == [b"c", b"longer"]
    assert (after[1], after[-2], after[-1]) == (b"longer", b"longer", b"c")
    assert after.joined is before.joined


@given(ids=IDS, others=IDS)
def test_an_index_gives_each_id_its_row(ids: list[str], others: list[str]) -> None:
    index, known = index_of(ids), {one: row for row, one in enumerate(ids)}
    assert [index.get(OfferId(one)) for one in [*ids, *others]] == [known.get(one) for one in [*ids, *others]]
    assert (list(index), len(index)) == (ids, len(ids))


def test_ids_of_one_slot_are_all_there() -> None:
    # half full at most, so that thousands of ids lie behind another's
    ids = [f"o{number}" for number in range(5_000)]
    assert [index_of(ids)[OfferId(one)] for one in ids[::97]] == list(range(0, 5_000, 97))

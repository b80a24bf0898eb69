from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_scorer.core.messages import OfferId
from stream_scorer.core.records import Record
from stream_scorer.core.releases.refreshing import refresh
from stream_scorer.core.towers.tower import Layer
from tests.foreign_bytes import damaged, edited
from tests.release_samples import DIM, tower


def record(number: int) -> Record:
    value = {"offer_id": f"offer-{number}", "features": {"price": 1.0, "colour": "red"}}
    return Record("offers", 0, number, f"offer-{number}".encode(), msgspec.json.encode(value), 0)


@pytest.mark.parametrize(("weight", "code"), [(0.0, "vector_zero"), (np.inf, "vector_not_finite")])
def test_an_unusable_vector_is_a_dead_letter(weight: float, code: str) -> None:
    broken = replace(tower("offer", 1), layers=(Layer(np.full((DIM, 4), weight), np.zeros(DIM)),))
    with np.errstate(invalid="ignore"):
        refreshed = refresh([record(1)], {}, broken)
    assert ([letter.code for letter in refreshed.dead_letters], refreshed.changes) == ([code], [])


WHOLE = record(1)


@given(
    key=st.one_of(st.none(), damaged(WHOLE.key or b"")),
    value=st.one_of(st.none(), damaged(WHOLE.value or b""), edited(WHOLE.value or b"")),
)
@settings(max_examples=100)
def test_records_are_changes_or_dead_letters(key: bytes | None, value: bytes | None) -> None:
    made = refresh([msgspec.structs.replace(WHOLE, key=key, value=value)], {OfferId("offer-1"): 0}, tower("offer", 1))
    assert len(made.changes) + len(made.dead_letters) <= 1
    assert all(change.offer is None or len(change.vector) == 4 * DIM for change in made.changes)

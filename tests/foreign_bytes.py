"""Strategies for what others may have put in a value's place: any bytes, damaged bytes, and other JSON of its shape."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

ODD: list[Any] = [
    None, True, -1, 0, 1, 63, 65_537, 2**31, 2**63, 10**30, 0.5, 1e300,
    "", "x", "\0", "r-0", [], [None], ["a", "a"], {}, {"x": []},
    [[[[]]]],
]  # fmt: skip


def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    """Draw any bytes, and the whole ones with a stretch of them replaced."""
    places = st.integers(0, len(whole))
    stretch = st.tuples(places, st.integers(0, 40), st.binary(max_size=40))
    return st.one_of(
        st.binary(max_size=300),
        stretch.map(lambda cut: whole[: cut[0]] + cut[2] + whole[cut[0] + cut[1] :]),
    )


@st.composite
def edited(draw: Callable[..., Any], whole: bytes, edits_max: int = 2) -> bytes:
    """Draw JSON like the whole one, in which up to `edits_max` values are others, gone, or doubled."""
    value = json.loads(whole)
    for _ in range(draw(st.integers(1, edits_max))):
        value = _edited(draw, value)
    return json.dumps(value, separators=(",", ":")).encode()


def _edited(draw: Callable[..., Any], value: Any) -> Any:
    """Go down to a random place and change it."""
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 4)) == 0:
        return deepcopy(draw(st.sampled_from(ODD)))
    place = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
    what = draw(st.sampled_from(["deeper", "deeper", "deeper", "gone", "doubled"]))
    if what == "gone":
        del value[place]
    elif what == "doubled" and isinstance(value, list):
        value.append(value[place])
    else:
        value[place] = _edited(draw, value[place])
    return value

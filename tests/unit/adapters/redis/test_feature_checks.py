"""Features from the store are held to the contract's kinds."""

import msgspec
import pytest

from stream_scorer.adapters.redis.feature_checks import check_features


@pytest.mark.parametrize(
    "fragments",
    [
        [],
        [b"{}", b"{}"],
        [b'{"a":1,"b":"x","c":null,"d":true,"e":[1,2.5],"f":["y"]}'],
        [b'{"a":"{[,[","b":[1]}', b"{}"],
    ],
)
def test_flat_objects_pass(fragments: list[bytes]) -> None:
    check_features(fragments)


@pytest.mark.parametrize(
    "fragments",
    [
        [b""],
        [b"{}", b""],
        [b"{},{}", b""],
        [b"{},{}"],
        [b"[]"],
        [b"1"],
        [b"{"],
        [b'{"a":NaN}'],
        [b'{"a":1e999}'],
        [b'{"a":{"b":1}}'],
        [b'{"a":[[1]]}'],
        [b'{"a":[1,[1]]}'],
        [b'{"a":[{}]}'],
        [b'{"a":"\xff"}'],
        [b'{"a":"\\x"}'],
        [b'{"a":01}'],
        [b'{"a":tru}'],
        [b'{"a"}'],
        [b'{"a":1}x'],
        [b'{"a":' + b"[" * 100_000],
    ],
)
def test_anything_else_is_refused(fragments: list[bytes]) -> None:
    with pytest.raises((ValueError, msgspec.MsgspecError, RecursionError)):
        check_features(fragments)

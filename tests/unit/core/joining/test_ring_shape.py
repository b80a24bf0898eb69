import pytest

from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.joining.ring_shape import RingShape, differences, take_apart
from stream_scorer.core.verifying.judgements import JoinClock

HORIZONS = Horizons(1_000, 2_000, 100, 100, 1, 50, 2_000)
POINT = "[1,7,8,9,10,20,30,40]"
SHAPE = RingShape(4, {"rankings": "a", "outcomes": "b", "labels": "c"}, "at_once", HORIZONS)


def test_written_shapes_are_read_back() -> None:
    assert take_apart(SHAPE.beside(POINT)) == (POINT, SHAPE)
    assert take_apart(RingShape(4).beside()) == ("", RingShape(4))
    assert JoinClock.from_text(SHAPE.beside(POINT)).passed_ms == 7


def test_metadata_of_earlier_versions_is_still_read() -> None:
    assert take_apart(POINT) == (POINT, None)
    assert take_apart("") == ("", None)


def test_metadata_of_a_later_version_is_refused() -> None:
    with pytest.raises(ValueError, match="must be of version 2, got 3"):
        take_apart('{"version":3}')


@pytest.mark.parametrize(
    "foreign", ["{", '{"version":2}', '{"version":2,"shape":{"x":1},"point":null}', '{"a":' * 9_000]
)
def test_metadata_that_is_not_ours_is_refused(foreign: str) -> None:
    with pytest.raises(ValueError, match=r"metadata|Expecting"):
        take_apart(foreign)


def test_the_longest_shape_fits_into_metadata() -> None:
    longest = Horizons(*[2**62] * 7)
    shape = RingShape(100_000, dict.fromkeys(("rankings", "outcomes", "labels"), "x" * 22), "at_close", longest)
    assert len(shape.beside(str([2**62] * 8))) < 1_000


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (RingShape(4, SHAPE.topic_ids, "at_close", HORIZONS), "join.emit was at_once and is at_close"),
        (RingShape(4, {"outcomes": "z"}, "at_once", HORIZONS), "topics.outcomes is another topic than it was"),
        (RingShape(2, {}, "at_once", HORIZONS), "the ring had 4 partitions and has 2"),
        (
            RingShape(4, {}, "at_once", Horizons(999, 2_000, 100, 100, 1, 50, 2_000)),
            "join.window_ms was 1000 and is 999",
        ),
    ],
)
def test_a_change_that_decides_labels_is_named(now: RingShape, said: str) -> None:
    assert differences(SHAPE, now) == (said,)


def test_growth_and_write_timing_are_no_difference() -> None:
    later = Horizons(1_000, 2_000, 100, 100, 7, 50, 9_000)
    assert differences(SHAPE, RingShape(8, SHAPE.topic_ids, "at_once", later)) == ()


def test_rankers_ignore_the_joins_settings() -> None:
    assert differences(SHAPE, RingShape(4, SHAPE.topic_ids)) == ()

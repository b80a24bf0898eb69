"""Pictures: within their frame, and in words."""

import re
from xml.etree import ElementTree as ET

from stream_scorer.core.evaluation.intervals import share_interval
from stream_scorer.core.inspecting.recent_rankings import WAIT_EDGES_S, Waits
from stream_scorer.live_page.charts import share_marks, sparkline, wait_bars
from stream_scorer.services.watching.topic_tails import ReleaseRate


def rate(name: str, closed: int, accepted: int) -> ReleaseRate:
    share = share_interval(accepted, closed)
    assert share is not None
    return ReleaseRate(name, closed, accepted, share)


def inside(svg: str) -> bool:
    """Return whether all that is drawn lies in the frame."""
    drawn = ET.fromstring(svg)
    *_, width, height = map(float, drawn.attrib["viewBox"].split())
    places = [(float(each.get("x", each.get("cx", 0))), float(each.get("y", each.get("cy", 0)))) for each in drawn]
    return all(0 <= x <= width and 0 <= y <= height for x, y in places)


def test_a_line_goes_from_zero_up() -> None:
    svg = sparkline([0.0, 5.0, 10.0], "rank")
    assert re.findall(r"[\d.]+,[\d.]+", svg) == ["0.0,30.0", "80.0,16.0", "160.0,2.0"]
    assert 'aria-label="rank; at most 10 a second"' in svg


def test_one_value_is_no_line() -> None:
    assert sparkline([1.0], "rank") == ""
    assert sparkline([], "rank") == ""


def test_long_lines_are_thinned() -> None:
    assert len(re.findall(r"[\d.]+,[\d.]+", sparkline([1.0] * 360, "rank"))) == 72


def test_bars_stay_within_their_frame() -> None:
    counts = (0, 3, 40, 7, *[0] * (len(WAIT_EDGES_S) - 4), 1)
    svg = wait_bars(Waits(0.05, 0.1, 100.0, counts))
    assert inside(svg)
    assert svg.count("<rect") == len(WAIT_EDGES_S) + 1


def test_shares_stand_on_one_scale() -> None:
    svg = share_marks([rate("r-1", 100, 20), rate("r-2", 100, 40)])
    assert inside(svg)
    low, high = (float(each) for each in re.findall(r'cx="([\d.]+)"', svg))
    assert abs((high - 6) / (low - 6) - 2) < 0.01


def test_names_are_never_markup() -> None:
    assert "<b>" not in share_marks([rate("<b>r", 10, 1)])

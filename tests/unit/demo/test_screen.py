"""What a person sees of the demo."""

from dataclasses import replace
from io import StringIO

import pytest

from stream_scorer.core.messages import RankedOffer, Ranking
from stream_scorer.demo.screen import LINE_EVERY_MS, Moment, Screen
from stream_scorer.demo.tally import SeenRanking, Tally

START_MS = 1_000_000


@pytest.fixture
def tally() -> Tally:
    offers = [
        RankedOffer(offer_id=f"offer-{row:06d}", rank=row + 1, score=0.5, propensity=1.0, features={})
        for row in range(5)
    ]
    ranking = Ranking("request", "customer-000001", START_MS, "r-604a67b44a", "ranked", 5, {}, {}, offers)
    tally = Tally()
    tally.add(
        [
            SeenRanking(replace(ranking, request_id=f"request-{n}"), 7, START_MS + n, n % 4 == 0, 0.25)
            for n in range(2_000)
        ]
    )
    return tally


def moment(tally: Tally, *, at_ms: int = 2_000) -> Moment:
    return Moment(START_MS + at_ms, "serving", 240.0, 3, 12_345, tally)


def test_without_a_terminal_figures_are_lines(tally: Tally) -> None:
    stream = StringIO()
    Screen(stream).show(moment(tally))
    words = " ".join(stream.getvalue().split())
    assert words == "2 s 240 events/s p50 7 ms p99 7 ms lag 3 labels 12,345 acceptance 0.250 release 1: serving"


def test_nothing_wraps_at_80_columns(tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    stream = StringIO()
    screen = Screen(stream, {"popularity ranking": 0.2, "best possible": 0.505})
    screen.show(moment(tally))
    screen.close()
    lines = stream.getvalue().splitlines()
    rows = [line for line in lines if "customer-000001" in line]
    assert rows
    assert all("release 1" in row and "0 (+0.50)  1 (+0.50)" in row for row in rows)
    assert any("0.250 (0.232 to 0.269)" in line for line in lines)
    assert any("best possible" in line and "0.505" in line for line in lines)


def test_figures_are_due_only_now_and_then(tally: Tally) -> None:
    screen = Screen(StringIO())
    assert screen.due(START_MS)
    screen.show(moment(tally, at_ms=0))
    assert not screen.due(START_MS + LINE_EVERY_MS - 1)
    assert screen.due(START_MS + LINE_EVERY_MS)

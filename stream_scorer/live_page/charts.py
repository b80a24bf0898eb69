"""Small pictures as SVG that the style sheet colours; each says in words what it shows."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup, escape

from stream_scorer.core.inspecting.recent_rankings import WAIT_EDGES_S, Waits
from stream_scorer.live_page import texts
from stream_scorer.services.watching.topic_tails import ReleaseRate

_SPARK_W, _SPARK_H = 160, 32
_SPARK_POINTS_MAX = 80
_BAR_W, _BAR_H, _LABEL_H, _PAD = 28, 96, 30, 8
_SHARE_W, _SHARE_H, _NAME_H = 340, 44, 16


def sparkline(values: Sequence[float], words: str) -> Markup:
    """Draw how a rate went, from the first value to the last, from zero up."""
    shown = _thinned(values)
    if len(shown) < 2:
        return Markup("")
    top = max(*shown, 1e-9)
    step = _SPARK_W / (len(shown) - 1)
    points = " ".join(
        f"{number * step:.1f},{_SPARK_H - 2 - (_SPARK_H - 4) * value / top:.1f}" for number, value in enumerate(shown)
    )
    line = Markup('<polyline points="{}" fill="none"/>').format(points)
    return _svg("spark", _SPARK_W, _SPARK_H, f"{words}; at most {texts.rate(max(shown))} a second", line)


def wait_bars(waits: Waits) -> Markup:
    """Draw how many requests waited how long."""
    in_all, top = max(1, sum(waits.counts)), max(*waits.counts, 1)
    names = [*map(texts.duration, WAIT_EDGES_S), "more"]
    parts = Markup("").join(
        _bar(number, name, count / in_all, count / top)
        for number, (name, count) in enumerate(zip(names, waits.counts, strict=True))
    )
    words = f"How long requests waited: half at most {texts.duration(waits.p50_s)}, 99 % {texts.duration(waits.p99_s)}"
    return _svg("bars", len(names) * _BAR_W + 2 * _PAD, _BAR_H + _LABEL_H + 12, words, parts)


def share_marks(rates: Sequence[ReleaseRate]) -> Markup:
    """Draw each release's acceptance rate as a point with its interval, all on one scale from zero."""
    top = min(1.0, 1.1 * max((each.share.high for each in rates), default=1.0)) or 1.0
    parts = Markup("").join(_marks(rates, top))
    words = "; ".join(f"{each.release_id} {texts.share(each.share.value)}" for each in rates)
    return _svg("shares", _SHARE_W, len(rates) * _SHARE_H + 18, f"Acceptance rate by release: {words}", parts)


def _marks(rates: Sequence[ReleaseRate], top: float) -> Iterator[Markup]:
    def place(share: float) -> float:
        return 6 + (_SHARE_W - 12) * share / top

    for number, each in enumerate(rates):
        y = number * _SHARE_H + _NAME_H + 12
        low, high, middle = place(each.share.low), place(each.share.high), place(each.share.value)
        yield Markup('<text x="6" y="{}">{}</text>').format(y - 12, f"{each.release_id} · {each.closed:,} requests")
        yield Markup('<line class="axis" x1="6" x2="{}" y1="{}" y2="{}"/>').format(_SHARE_W - 6, y, y)
        yield Markup('<line class="whisker" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(low, high, y, y)
        yield Markup('<circle cx="{:.1f}" cy="{}" r="5"/>').format(middle, y)
    bottom = len(rates) * _SHARE_H + 14
    yield Markup('<text x="6" y="{}">0 %</text>').format(bottom)
    yield Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(_SHARE_W - 6, bottom, texts.share(top))


def _bar(number: int, name: str, share: float, height: float) -> Markup:
    x, tall = number * _BAR_W + _PAD, max(1.0 if share else 0.0, (_BAR_H - 14) * height)
    y = _BAR_H - tall
    label = Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>')
    above = label.format(x + _BAR_W / 2, f"{y - 3:.1f}", f"{100 * share:.0f}%") if share >= 0.005 else Markup("")
    # names of neighbours stand at two heights, so that they do not meet
    below = label.format(x + _BAR_W / 2, _BAR_H + 14 + 13 * (number % 2), name)
    bar = Markup('<rect x="{}" y="{:.1f}" width="{}" height="{:.1f}"/>').format(x + 3, y, _BAR_W - 6, tall)
    return bar + above + below


def _svg(kind: str, width: float, height: float, words: str, inside: Markup) -> Markup:
    return Markup('<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        kind, width, height, escape(words), inside
    )


def _thinned(values: Sequence[float]) -> list[float]:
    """Return so many means of neighbours at most that a line stays readable."""
    per = -(-len(values) // _SPARK_POINTS_MAX)
    return [sum(values[at : at + per]) / len(values[at : at + per]) for at in range(0, len(values), per or 1)]

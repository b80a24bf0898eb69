"""What the demo shows: its steps as lines, and live figures as a table on a terminal, otherwise as lines."""

from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from stream_scorer.demo.tally import Rate, SeenRanking, Tally

TABLE_EVERY_MS = 250
LINE_EVERY_MS = 5_000


@dataclass(frozen=True, slots=True)
class Moment:
    """The traffic at a moment; `note` is what the demo does meanwhile."""

    now_ms: int
    note: str
    events_per_s: float
    lag: int
    labels: int
    tally: Tally


@dataclass
class Screen:
    """Writes to one stream; `bounds` says what rates are possible."""

    stream: TextIO
    bounds: dict[str, float] = field(default_factory=dict)
    _console: Console = field(init=False)
    _live: Live | None = None
    _shown_ms: int = 0

    def __post_init__(self) -> None:
        self._console = Console(file=self.stream, highlight=False)

    def step(self, text: str) -> None:
        """Print the step that begins now."""
        self._console.print(f"> {text}", style="bold", markup=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print a line about the present step."""
        self._console.print(f"  {text}", markup=False, soft_wrap=True)

    def due(self, now_ms: int) -> bool:
        """Return whether it is time for new figures."""
        return now_ms - self._shown_ms >= (TABLE_EVERY_MS if self._console.is_terminal else LINE_EVERY_MS)

    def show(self, moment: Moment) -> None:
        """Show the live figures."""
        self._shown_ms = moment.now_ms
        if not self._console.is_terminal:
            self.say(self._line(moment))
        elif self._live is None:
            self._live = Live(self._view(moment), console=self._console, auto_refresh=False, transient=False)
            self._live.start(refresh=True)
        else:
            self._live.update(self._view(moment), refresh=True)

    def close(self) -> None:
        """Stop updating; the last figures stay on the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _line(self, moment: Moment) -> str:
        tally, now_ms = moment.tally, moment.now_ms
        p50, p99 = tally.recent_latency_ms(now_ms)
        newest = tally.name_of(list(tally.releases)[-1]) if tally.releases else "no release yet"
        return (
            f"{tally.seconds_at(now_ms):4.0f} s  {moment.events_per_s:4.0f} events/s  "
            f"p50 {p50:.0f} ms  p99 {p99:.0f} ms  lag {moment.lag}  labels {moment.labels:,}  "
            f"acceptance {tally.recent_rate(now_ms).value:.3f}  {newest}: {moment.note}"
        )

    def _view(self, moment: Moment) -> RenderableType:
        return Group(self._figures(moment), self._releases(moment.tally), self._last(moment.tally))

    def _figures(self, moment: Moment) -> Table:
        tally, now_ms = moment.tally, moment.now_ms
        p50, p99 = tally.recent_latency_ms(now_ms)
        figures = {
            "seconds": f"{tally.seconds_at(now_ms):.0f}",
            "events/s": f"{moment.events_per_s:.0f}",
            "p50": f"{p50:.0f} ms",
            "p99": f"{p99:.0f} ms",
            "lag": f"{moment.lag}",
            "labels": f"{moment.labels:,}",
            "acceptance": f"{tally.recent_rate(now_ms).value:.3f}",
            "now": moment.note,
        }
        table = Table(
            *figures, title="the last 10 s: latency from request to ranking, lag in requests", title_justify="left"
        )
        table.add_row(*figures.values())
        return table

    def _releases(self, tally: Tally) -> Table:
        table = Table(
            "release", "rankings", "accepted", "acceptance rate (95 %)", title="releases", title_justify="left"
        )
        for release in tally.releases.values():
            table.add_row(
                tally.name_of(release.release_id),
                f"{release.shown:,}",
                f"{release.accepted:,}",
                _rate(release.rate),
            )
        table.add_section()
        for name, rate in self.bounds.items():
            table.add_row(name, "", "", f"{rate:.3f}")
        return table

    def _last(self, tally: Tally) -> Table:
        table = Table(title="last rankings", title_justify="left")
        for name in ("customer", "release", "offers, best first (score)", "took one", "ms"):
            # What may wrap is what a narrow terminal cuts
            table.add_column(name, no_wrap=not name.startswith("offers"))
        for seen in tally.last:
            table.add_row(
                seen.ranking.customer_id,
                tally.name_of(seen.ranking.release_id),
                Text(_offers(seen), no_wrap=True, overflow="ellipsis"),
                "yes" if seen.accepted else "",
                f"{seen.latency_ms}",
            )
        return table


def _rate(rate: Rate) -> str:
    low, high = rate.interval
    return f"{rate.value:.3f} ({low:.3f} to {high:.3f})"


def _offers(seen: SeenRanking) -> str:
    return "  ".join(
        f"{offer.offer_id.removeprefix('offer-').lstrip('0') or '0'} ({offer.score:+.2f})"
        for offer in seen.ranking.offers[:5]
    )

"""The demo's result, for people and for programs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from stream_scorer.demo.crowd import Crowd
from stream_scorer.demo.second_stage import AddedRate
from stream_scorer.demo.tally import Tally
from stream_scorer.topic_settings import TopicSettings


@dataclass(frozen=True, slots=True)
class ReleaseSummary:
    """A release's result; the interval is Wilson's at 95 %, the expected rate follows from the known odds."""

    release_id: str
    kind: str
    first_ranking_s: float
    rankings: int
    accepted: int
    acceptance_rate: float
    interval: tuple[float, float]
    expected_rate: float


@dataclass(frozen=True, slots=True)
class Summary:
    """The demo's figures; latencies are from request record to ranking record.

    `reranker` is what the last release's re-ranker adds to its own towers, by the odds; without one,
    `reason_without_reranker` says why.
    """

    delivery: str
    seconds: float
    traffic_s: float
    popularity: float
    best_possible: float
    releases: tuple[ReleaseSummary, ...]
    reranker: AddedRate | None
    reason_without_reranker: str | None
    latency_p50_ms: float
    latency_p99_ms: float
    requests: int
    rankings: int
    rankings_repeated: int
    answers: int
    acceptances: int
    labels: Mapping[str, int]
    requests_without_final_labels: int
    dead_letters: Mapping[str, int]
    out: str
    plot: str

    @classmethod
    def of(
        cls,
        tally: Tally,
        crowd: Crowd,
        *,
        best_possible: float,
        popularity: float,
        delivery: str,
        seconds: float,
        out: Path,
        plot: Path,
        topics: TopicSettings,
        kinds: Sequence[str],
        added: AddedRate | None,
        reason_without: str,
    ) -> Self:
        """Collect the figures; `kinds` says of what each release consists, in the order of their first rankings."""
        p50, p99 = tally.latency_ms()
        releases = tuple(
            ReleaseSummary(
                release.release_id,
                kind,
                round(tally.seconds_at(release.first_seen_ms), 1),
                release.shown,
                release.accepted,
                round(release.rate.value, 4),
                (round(release.rate.interval[0], 4), round(release.rate.interval[1], 4)),
                round(release.expected_rate, 4),
            )
            for release, kind in zip(tally.releases.values(), kinds, strict=False)
        )
        return cls(
            delivery=delivery,
            seconds=round(seconds, 1),
            traffic_s=len(tally.seconds()),
            popularity=round(popularity, 4),
            best_possible=round(best_possible, 4),
            releases=releases,
            reranker=added,
            reason_without_reranker=None if added else reason_without,
            latency_p50_ms=p50,
            latency_p99_ms=p99,
            requests=crowd.sent[topics.requests],
            rankings=len(tally.latencies_ms),
            rankings_repeated=crowd.doubled,
            answers=crowd.sent[topics.acceptances],
            acceptances=crowd.sent["accepted"],
            labels=dict(sorted((+crowd.labels).items())),
            requests_without_final_labels=crowd.open_labels,
            dead_letters=dict(crowd.dead_letters),
            out=str(out),
            plot=str(plot),
        )

    def as_dict(self) -> dict[str, object]:
        """Return the figures for JSON."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """Return the lines that are printed."""
        yield f"{'':32}{'id':14}{'rankings':>9}{'accepted':>10}  acceptance rate (95 %)    by the odds"
        for place, one in enumerate(self.releases, 1):
            low, high = one.interval
            yield (
                f"{f'release {place}, {one.kind}':32}{one.release_id[:12]:14}{one.rankings:9,}{one.accepted:10,}  "
                f"{one.acceptance_rate:.3f} ({low:.3f} to {high:.3f})   {one.expected_rate:.3f}"
            )
        yield f"popularity ranking {self.popularity:.3f}, best possible {self.best_possible:.3f}"
        yield self._reranker_line()
        p50, p99 = f"p50 {self.latency_p50_ms:.0f} ms", f"p99 {self.latency_p99_ms:.0f} ms"
        yield f"latency from request record to ranking record: {p50}, {p99}"
        delivery = self.delivery.replace("_", " ")
        yield f"{self.requests:,} requests, {self.rankings:,} rankings ({self.rankings_repeated} repeated), {delivery}"
        causes = ", ".join(f"{count:,} {cause.replace('_', ' ')}" for cause, count in self.labels.items())
        yield f"{self.answers:,} answers, {self.acceptances:,} of them acceptances; labels: {causes or 'none'}"
        yield f"dead letters: {', '.join(f'{count} {code}' for code, count in self.dead_letters.items()) or 'none'}"
        yield f"{self.seconds:.0f} s in all; plot {self.plot}; labels, models and logs in {self.out}"

    def _reranker_line(self) -> str:
        if self.reranker is None:
            return f"no re-ranker serves: {self.reason_without_reranker}"
        above = self.reranker.above
        return (
            f"the re-ranker adds {above.value:+.3f} ({above.low:+.3f} to {above.high:+.3f}) by the odds, over all "
            f"customers: its towers alone reach {self.reranker.towers:.3f}, both {self.reranker.both:.3f}"
        )

"""rank: requests to rankings and acceptances to outcomes, by the newest release at the time of each batch."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from stream_scorer.core.features.coverage import WARNED_ROWS_MIN, FeatureCoverage
from stream_scorer.core.ranking.encoding import OfferFeatures
from stream_scorer.core.ranking.exploration import Exploration
from stream_scorer.core.ranking.index_plan import outgrown
from stream_scorer.core.ranking.pipeline import RankTopics, rank_batch
from stream_scorer.core.ranking.recall import Recall
from stream_scorer.core.records import progress_of
from stream_scorer.core.releases.catalog import index_cover
from stream_scorer.core.releases.release import Release
from stream_scorer.core.towers.reranker import SHORTLIST_DEFAULT
from stream_scorer.core.wire.dead_letters import dead_letter_record
from stream_scorer.core.wire.letter_headers import HeaderStyle
from stream_scorer.ports import Fetched, Telemetry
from stream_scorer.services.streaming.loop import Work

JUDGED_AT_ONCE = 1_000  # sampled requests after which the recall is counted anew

log = structlog.get_logger(__name__)


class Releases(Protocol):
    """Where the ranker takes its release from, between batches."""

    def current(self) -> Release | None:
        """Return the newest whole release, at once."""


@dataclass(frozen=True, slots=True)
class RankConfig:
    """The topics of a ranker, and how it ranks."""

    topics: RankTopics
    dead_letters: str
    offer_features: OfferFeatures
    ranking_bytes_max: int
    exploration: Exploration | None = None
    beside_positions: str = ""
    """Metadata of the committed positions: the shape of the ring by which rankings and outcomes are routed."""
    letter_headers: HeaderStyle = "ours"
    recall_min: float = 0.0
    recall_every: int = 0
    """One request in so many that an index answers is ranked exactly too, to measure the recall; 0: none."""
    shortlist: int = SHORTLIST_DEFAULT
    """How many of a request's offers a re-ranker ranks."""
    passed_headers: tuple[str, ...] = ()
    """Headers that go from requests to rankings, and from acceptances to outcomes."""


class IndexWatch:
    """Judges the index of the release that serves by what it finds, and gives it up until the next release.

    No request waits for this: what a batch measured counts once the batch is written.
    """

    def __init__(self, recall_min: float, telemetry: Telemetry) -> None:
        self._recall_min, self._telemetry = recall_min, telemetry
        self._release_id = ""
        self._batch = self._judged = Recall()
        self._outgrown = False
        self.failed = False
        """Whether requests must be ranked exactly from now on."""

    def takes(self, release: Release) -> None:
        """Note that a release serves now, or the same one with its offers changed."""
        if release.release_id != self._release_id:
            self._release_id, self._judged, self.failed, self._outgrown = release.release_id, Recall(), False, False
            self._telemetry.index_given_up(None)
        cover = release.catalog.once(index_cover)
        if cover is not None and not self._outgrown and outgrown(cover, len(release.catalog)):
            self._outgrown = True
            self._telemetry.index_given_up("outgrown")
            log.warning(
                "index_outgrown",
                release_id=release.release_id,
                not_in_index=len(cover.fresh),
                offers=len(release.catalog),
                effect="every request is ranked exactly: stream-scorer publish --reindex builds the index anew",
            )

    def ranked(self, recall: Recall) -> None:
        """Take what a batch measured, until it is written."""
        self._batch = recall

    def written(self) -> None:
        """Count what the last batch measured, and judge."""
        recall, self._batch = self._batch, Recall()
        if not recall.requests:
            return
        self._telemetry.recall(recall)
        self._judged = self._judged.plus(recall)
        if not self.failed and self._judged.is_below(self._recall_min):
            self.failed = True
            self._telemetry.index_given_up("recall_low")
            log.warning(
                "index_recall_low",
                release_id=self._release_id,
                recall=round(self._judged.share, 4),
                recall_min=self._recall_min,
                sampled=self._judged.requests,
                effect="every request is ranked exactly until the next release",
            )
        elif self._judged.requests >= JUDGED_AT_ONCE:
            # a stretch at a time, so that a long good past hides no decline
            self._judged = Recall()


class Ranker:
    """The rank job's part of the loop; see services.streaming.loop.Job.

    It keeps the release, and counts of the features that its requests state: no request depends on another.
    """

    name = "rank"

    def __init__(
        self,
        releases: Releases,
        rewind: Callable[[], None],
        config: RankConfig,
        *,
        telemetry: Telemetry,
        look: Callable[[], None] = lambda: None,
    ) -> None:
        """Rank by `releases`; `look` raises when the ring's topics have changed under this worker."""
        self._releases, self._rewind, self._config, self._telemetry = releases, rewind, config, telemetry
        self._release: Release | None = None
        self._batch: FeatureCoverage | None = None
        self._covered: FeatureCoverage | None = None  # of this release's requests, until it is judged
        self._index = IndexWatch(config.recall_min, telemetry)
        self._look = look

    def process(self, fetched: Fetched) -> Work | None:
        """See Job.process."""
        self._look()
        release = self._newest()  # without traffic too, so that the metrics name it
        if not fetched.records:
            return None
        config = self._config
        ranked = rank_batch(
            fetched.records,
            release,
            topics=config.topics,
            offer_features=config.offer_features,
            ranking_bytes_max=config.ranking_bytes_max,
            exploration=config.exploration,
            recall_every=config.recall_every,
            exact=self._index.failed,
            shortlist=config.shortlist,
            passed=config.passed_headers,
        )
        self._index.ranked(ranked.recall)
        self._batch = ranked.coverage if ranked.coverage.rows else None
        dead = [
            dead_letter_record(letter, config.dead_letters, config.letter_headers) for letter in ranked.dead_letters
        ]
        progress = {
            partition: replace(position, metadata=config.beside_positions)
            for partition, position in progress_of(fetched.records).items()
        }
        return Work(fetched.records, [*ranked.outputs, *dead], ranked.dead_letters, progress)

    def _newest(self) -> Release:
        release = self._releases.current()
        assert release is not None, "a ranker waits for its first release before it reads"
        if self._release is None or release.release_id != self._release.release_id:
            self._telemetry.release(release.release_id, release.created_ms, forced=bool(release.forced))
            self._covered = FeatureCoverage("customer", release.user_tower.spec.feature_names)
        if release is not self._release:
            self._index.takes(release)
        self._release = release
        return release

    def written(self, work: Work) -> None:
        """See Job.written."""
        self._index.written()
        if self._batch is not None:
            self._telemetry.features(self._batch)
            self._judge(self._batch)
            self._batch = None

    def _judge(self, batch: FeatureCoverage) -> None:
        """Warn once a release, as soon as there are requests enough, of features that most of them lack."""
        if self._covered is None:
            return
        covered = self._covered.plus(batch)
        self._covered = covered if covered.rows < WARNED_ROWS_MIN else None
        if covered.rows >= WARNED_ROWS_MIN and (missing := covered.mostly_missing()):
            log.warning(
                "features_missing",
                release_id=self._release.release_id if self._release else None,
                requests=covered.rows,
                missing={name: covered.missing[name] for name in missing},
                unknown=list(covered.unknown),
            )

    def aborted(self) -> None:
        """See Job.aborted."""
        self._rewind()

    def idle(self) -> bool:
        """See Job.idle."""
        return True

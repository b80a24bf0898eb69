"""All that the live page shows, each part read by itself."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stream_scorer.core.inspecting.recent_rankings import RecentRankings
from stream_scorer.core.inspecting.worker_metrics import JobTimes
from stream_scorer.core.releases.release import ReleaseInfo
from stream_scorer.services.letters.survey import LetterSurvey
from stream_scorer.services.operating.doctor import Finding
from stream_scorer.services.watching.customer_rankings import CustomerNow
from stream_scorer.services.watching.offer_search import FoundOffers
from stream_scorer.services.watching.ring_now import RingNow
from stream_scorer.services.watching.topic_tails import LabelsNow
from stream_scorer.services.watching.watched import Watched


@dataclass(frozen=True, slots=True)
class Board:
    """What is read in the background, and the two questions that are answered when they are asked.

    `workers` has the times of each address in the settings. Both questions raise StreamScorerError.
    """

    examined: Watched[Sequence[Finding]]
    ring: Watched[RingNow]
    rankings: Watched[RecentRankings | None]
    labels: Watched[LabelsNow | None]
    releases: Watched[list[ReleaseInfo]]
    letters: Watched[LetterSurvey]
    workers: Mapping[str, Watched[list[JobTimes]]]
    customer: Callable[[str], CustomerNow]
    offers: Callable[[str], FoundOffers]

    def parts(self) -> Iterator[Watched[Any]]:
        """Yield what has to be followed."""
        yield from (self.examined, self.ring, self.rankings, self.labels, self.releases, self.letters)
        yield from self.workers.values()

"""A release in the hands of a program: the ranker's own functions on a batch, in a notebook or in a service."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from stream_scorer.core.messages import RECORD_BYTES_MAX, CustomerRequest, OfferId, Ranking, ReleaseId
from stream_scorer.core.ranking.best_offers import Customers, Scores, overlaid_scores
from stream_scorer.core.ranking.eligibility import Candidates
from stream_scorer.core.ranking.encoding import ALL_FEATURES, OfferFeatures
from stream_scorer.core.records import Record
from stream_scorer.core.releases.catalog import Vectors
from stream_scorer.core.releases.offer_overlay import OfferOverlay, overlay_of
from stream_scorer.core.releases.release import Release
from stream_scorer.core.towers.reranker import SHORTLIST_DEFAULT
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.errors import UsageError
from stream_scorer.ports import Clock
from stream_scorer.services.operating.given_messages import as_json, fields_of
from stream_scorer.services.operating.scoring import Scored, score

Requests = Sequence[CustomerRequest | Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class LoadedRelease:
    """One release, which never changes: load it again to see a newer one.

    Requests are messages, or mappings with their fields. Of a mapping only `customer_id` and `features` are required:
    a `request_id` that is not given is `row-N`, counted from 0, and an `event_time_ms` that is not given is now. No
    method explores, so the same requests always get the same answer.
    """

    release: Release
    clock: Clock
    cautions: tuple[str, ...] = ()
    """What publish's gate would refuse, and features that the model reads and the offers lack."""
    offer_features: OfferFeatures = ALL_FEATURES
    ranking_bytes_max: int = RECORD_BYTES_MAX
    shortlist: int = SHORTLIST_DEFAULT

    @property
    def release_id(self) -> ReleaseId:
        """Return the id that rankings name."""
        return self.release.release_id

    @property
    def offer_ids(self) -> Sequence[OfferId]:
        """Return the ids of all N offers, sorted: the columns of `score`, the rows of `offer_vectors`."""
        return self.release.catalog.offer_ids

    @property
    def offer_vectors(self) -> Vectors:
        """Return the offers' vectors (N, p), float32, L2-normalised."""
        return self.release.catalog.vectors

    def embed(self, customers: Requests) -> Customers:
        """Return the customers' vectors (B, p), float64, L2-normalised; a zero vector stays zero.

        A vector has the same bytes in any batch. Raises UsageError for the first request that the ranker would refuse.
        """
        return self._embedded(self._read(self._values(customers, None)))

    def _embedded(self, messages: Sequence[CustomerRequest]) -> Customers:
        tower = self.release.user_tower
        embedded = tower.embed([each.features for each in messages], [each.customer_id for each in messages])
        for error in embedded.errors:
            reason = f"{error.message} ({error.code})"
            raise _refused(error.index, reason, len(embedded.errors), len(messages))
        return embedded.vectors

    def score(self, customers: Requests) -> Scores:
        """Return each customer's score (B, N) for every offer: the cosine, in [-1, 1], as a ranking states it.

        It is the towers' score also where the release has a re-ranker, which scores shortlists alone: see `rank`.
        Whether an offer is eligible is not asked. What a request states of offers counts for its scores. Raises as
        `embed` does.
        """
        messages = self._read(self._values(customers, None))
        vectors, overlay = self._embedded(messages), self._overlay(messages)
        rows = np.arange(len(self.offer_ids))
        scores = np.empty((len(vectors), len(rows)))
        # customer by customer: the pairs of all of them at once would need several times the memory of the scores
        for number in range(len(vectors)):
            pairs = Candidates(np.full(len(rows), number), rows)
            scores[number] = overlaid_scores(pairs, vectors, self.release.catalog, overlay)
        return scores

    def _overlay(self, messages: Sequence[CustomerRequest]) -> OfferOverlay | None:
        overlay, refusals = overlay_of(messages, self.release)
        for number, refusal in sorted(refusals.items()):
            raise _refused(number, f"{refusal.message} ({refusal.code})", len(refusals), len(messages))
        return overlay

    def rank(self, requests: Requests, *, limit: int | None = None) -> list[Ranking]:
        """Return the ranking of each request, in order; `limit` replaces that of all requests.

        Raises UsageError when any request is refused, and names the first.
        """
        values = self._values(requests, limit)
        scored = list(self.rank_values(values))
        refused = [letter for part in scored for letter in part.dead_letters]
        if refused:
            first = min(refused, key=lambda letter: letter.record.offset)
            # a dead letter's offset counts requests from 1, as lines of a file are counted
            raise _refused(first.record.offset - 1, f"{first.message} ({first.code})", len(refused), len(values))
        rankings = chain.from_iterable(part.rankings for part in scored)
        return decode_all([Record("", 0, 0, None, each, 0) for each in rankings], Ranking).messages

    def rank_values(self, values: Iterable[bytes | None]) -> Iterator[Scored]:
        """Yield, batch by batch, the bytes that the ranker would write for requests in JSON, and what it refuses."""
        return score(
            values,
            self.release,
            offer_features=self.offer_features,
            ranking_bytes_max=self.ranking_bytes_max,
            shortlist=self.shortlist,
        )

    def _values(self, requests: Requests, limit: int | None) -> list[bytes]:
        if isinstance(requests, Mapping | str | bytes):
            raise UsageError(f"a sequence of requests is needed, got one {type(requests).__name__}")
        now_ms, changed = self.clock.now_ms(), {} if limit is None else {"limit": limit}
        return [
            as_json({"request_id": f"row-{number}", "event_time_ms": now_ms, **fields_of(each), **changed})
            for number, each in enumerate(requests)
        ]

    def _read(self, values: Sequence[bytes]) -> list[CustomerRequest]:
        decoded = decode_all(
            [Record("", 0, number, None, value, 0) for number, value in enumerate(values)], CustomerRequest
        )
        for letter in decoded.dead_letters:
            reason = f"{letter.message} ({letter.code})"
            raise _refused(letter.record.offset, reason, len(decoded.dead_letters), len(values))
        return decoded.messages


def _refused(number: int, reason: str, refused: int, of: int) -> UsageError:
    return UsageError(f"{refused} of {of} requests are refused, the first of them requests[{number}]: {reason}")

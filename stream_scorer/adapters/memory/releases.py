"""The store of releases in memory, for tests and for a ring within a process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from stream_scorer.core.messages import OfferId, ReleaseId
from stream_scorer.core.releases.change import OfferChange
from stream_scorer.core.releases.release import Release, ReleaseInfo, figures_of
from stream_scorer.core.towers.model import Model
from stream_scorer.errors import ReleaseError, TransientError

CHANGES_KEPT = 100_000
CHANGES_READ_MAX = 1_000


@dataclass(slots=True)
class _Stored:
    release: Release
    model: Model
    latest: dict[OfferId, OfferChange] = field(default_factory=dict)
    log: list[OfferId] = field(default_factory=list)
    trimmed: int = 0
    epoch: int = 0
    progress: dict[int, int] = field(default_factory=dict)
    topic_id: str = ""

    def mark(self) -> str:
        """Return where the log ends."""
        return self.at(self.trimmed + len(self.log))

    def at(self, number: int) -> str:
        """Return a place in the log, as text; "0" is the beginning of any."""
        return f"{self.epoch}:{number}" if number else "0"


class MemoryReleases:
    """See ReleaseStore.

    With `away` set every call fails, with `expiry_fails` old releases stay. A single thread may write, any may read.
    """

    def __init__(self) -> None:
        self.away = self.expiry_fails = False
        self._stored: dict[ReleaseId, _Stored] = {}
        self._history: list[ReleaseId] = []

    def current(self) -> ReleaseId | None:
        """See ReleaseStore."""
        self._reach()
        return self._history[0] if self._history else None

    def releases(self) -> list[ReleaseInfo]:
        """See ReleaseStore."""
        self._reach()
        infos = [self._info(stored) for stored in self._stored.values()]
        return sorted(infos, key=lambda info: (info.created_ms, info.release_id), reverse=True)

    def write(self, release: Release, model: Model) -> None:
        """See ReleaseStore."""
        self._reach()
        if release.release_id in self._stored:
            self._stored[release.release_id].release = release
        else:
            self._stored[release.release_id] = _Stored(release, model)

    def load(self, release_id: ReleaseId) -> Release:
        """See ReleaseStore."""
        stored = self._find(release_id)
        catalog = stored.release.catalog
        if stored.latest:
            catalog = catalog.with_changes(list(stored.latest.values()))
        return replace(stored.release, catalog=catalog, mark=stored.mark())

    def model(self, release_id: ReleaseId) -> Model:
        """See ReleaseStore."""
        return self._find(release_id).model

    def activate(self, release_id: ReleaseId, *, keep: int) -> None:
        """See ReleaseStore."""
        self._find(release_id)
        self._history = [release_id, *(other for other in self._history if other != release_id)]
        self._expire(keep)

    def roll_back(self, *, keep: int) -> ReleaseId:
        """See ReleaseStore."""
        self._reach()
        if len(self._history) < 2:
            raise ReleaseError("there is no earlier release to roll back to")
        self._history = self._history[1:]
        self._expire(keep)
        return self._history[0]

    def progress(self, release_id: ReleaseId) -> dict[int, int]:
        """See ReleaseStore."""
        return dict(self._find(release_id).progress)

    def applied_topic(self, release_id: ReleaseId) -> str:
        """See ReleaseStore."""
        return self._find(release_id).topic_id

    def change(
        self,
        release_id: ReleaseId,
        changes: Sequence[OfferChange],
        *,
        progress: Mapping[int, tuple[int, int]],
        topic_id: str = "",
    ) -> int:
        """See ReleaseStore."""
        stored = self._find(release_id)
        if self._history[:1] != [release_id]:
            raise ReleaseError(f"release {release_id} is not current: the pointer names {self.current()}")
        if topic_id and stored.topic_id not in ("", topic_id):
            raise ReleaseError(f"release {release_id} is behind: it holds offers of another topic, {stored.topic_id}")
        for partition, (start, _) in progress.items():
            if stored.progress.get(partition, 0) < start:
                raise ReleaseError(
                    f"release {release_id} is behind: partition {partition} is at {stored.progress.get(partition, 0)}"
                )
        applied = sum(_apply(stored, change) for change in changes)
        for partition, (_, end) in progress.items():
            stored.progress[partition] = max(end, stored.progress.get(partition, 0))
        stored.topic_id = topic_id or stored.topic_id
        self._trim(stored)
        return applied

    def changes(self, release_id: ReleaseId, after: str) -> tuple[list[OfferChange], str]:
        """See ReleaseStore."""
        stored = self._find(release_id)
        epoch, _, number = after.rpartition(":")
        start = int(number)
        if (epoch or str(stored.epoch)) != str(stored.epoch) or not stored.trimmed <= start <= stored.trimmed + len(
            stored.log
        ):
            raise ReleaseError(f"release {release_id}: the changes behind {after} are gone")
        ids = stored.log[start - stored.trimmed :][:CHANGES_READ_MAX]
        return [stored.latest[offer_id] for offer_id in dict.fromkeys(ids)], stored.at(start + len(ids))

    def forget_changes(self, release_id: ReleaseId) -> None:
        """See ReleaseStore."""
        stored = self._find(release_id)
        stored.latest, stored.log, stored.trimmed, stored.progress, stored.topic_id = {}, [], 0, {}, ""
        stored.epoch += 1

    def lose(self, release_id: ReleaseId) -> None:
        """Forget a release altogether; the pointer may go on naming it."""
        del self._stored[release_id]

    def _reach(self) -> None:
        if self.away:
            raise TransientError("the store of releases is away")

    def _find(self, release_id: ReleaseId) -> _Stored:
        self._reach()
        if release_id not in self._stored:
            raise ReleaseError(f"release {release_id} was never written, or has expired")
        return self._stored[release_id]

    def _info(self, stored: _Stored) -> ReleaseInfo:
        release = stored.release
        place = self._history.index(release.release_id) if release.release_id in self._history else None
        return ReleaseInfo(
            release.release_id,
            stored.model.model_id,
            len(release.catalog),
            release.created_ms,
            current=place == 0,
            forced=release.forced,
            place=place,
            figures=figures_of(stored.model.facts),
            reranker="" if stored.model.reranker is None else stored.model.reranker.kind,
            index_recall=None if release.catalog.nearest is None else release.catalog.nearest.file.recall,
        )

    def _expire(self, keep: int) -> None:
        self._history = self._history[:keep]
        if self.expiry_fails:
            return
        self._stored = {
            release_id: stored for release_id, stored in self._stored.items() if release_id in self._history
        }

    @staticmethod
    def _trim(stored: _Stored) -> None:
        surplus = max(0, len(stored.log) - CHANGES_KEPT)
        del stored.log[:surplus]
        stored.trimmed += surplus


def _apply(stored: _Stored, change: OfferChange) -> bool:
    known = stored.latest.get(change.offer_id)
    if known is not None and known.source[0] == change.source[0] and known.source[1] >= change.source[1]:
        return False
    stored.latest[change.offer_id] = change
    stored.log.append(change.offer_id)
    return True

"""The store of releases for one who looks often: what was read is kept for a while, and nothing is written."""

from threading import Lock

from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.releases.release import Release, ReleaseInfo
from stream_scorer.core.towers.model import Model
from stream_scorer.ports import Clock, ReleaseReader

_RELEASE_KEPT_S = 60.0  # changes of offers are seen no later
_MODELS_MAX = 3


class RememberedReleases:
    """Loads the current release once a minute at most, whoever asks, and keeps the towers of a few releases.

    Every method raises TransientError while the store is away, ReleaseError and BadModel for what cannot be read.
    """

    def __init__(self, store: ReleaseReader, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._loaded: tuple[float, Release] | None = None
        self._models: dict[ReleaseId, Model] = {}
        self._lock = Lock()  # two who ask for the same release at once load it once

    def current(self) -> ReleaseId | None:
        """See ReleaseReader."""
        return self._store.current()

    def releases(self) -> list[ReleaseInfo]:
        """See ReleaseReader."""
        return self._store.releases()

    def load(self, release_id: ReleaseId) -> Release:
        """See ReleaseReader; the changes of the last minute may be missing."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            if self._loaded is not None:
                read_s, release = self._loaded
                if release.release_id == release_id and now_s - read_s < _RELEASE_KEPT_S:
                    return release
            self._loaded = None  # so that two releases are never in memory at once
            release = self._store.load(release_id)
            self._loaded = (now_s, release)
            return release

    def model(self, release_id: ReleaseId) -> Model:
        """See ReleaseReader."""
        with self._lock:
            if release_id not in self._models:
                while len(self._models) >= _MODELS_MAX:
                    del self._models[next(iter(self._models))]
                self._models[release_id] = self._store.model(release_id)
            return self._models[release_id]

    def applied_topic(self, release_id: ReleaseId) -> str:
        """See ReleaseReader."""
        return self._store.applied_topic(release_id)

"""Keeps a ranker's release in step with the store: a thread loads and changes it, and the loop takes it whole."""

from collections.abc import Callable
from dataclasses import replace
from threading import Event, Thread

import structlog

from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.releases.change import OfferChange
from stream_scorer.core.releases.offer_side import OfferSideOf
from stream_scorer.core.releases.release import Release
from stream_scorer.errors import BadModel, ReleaseError, TransientError
from stream_scorer.ports import Clock, ReleaseStore

BACK_OFF_MAX_S = 5.0
CHANGES_MAX = 50_000  # more than this at once: reading the release again is cheaper
WAITING_LOG_S = 30.0
_GLANCE_S = 0.1
_FOLLOWING = "following"

_log = structlog.get_logger(__name__)


class ReleaseWatch:
    """Follows the store, and has its newest whole release ready. `current` and `silent_s` are safe in any thread.

    While the store is away, or what it points to cannot be read, the last release goes on serving, and `trouble`
    returns why.
    """

    def __init__(self, store: ReleaseStore, clock: Clock, *, poll_s: float) -> None:
        self._store = store
        self._clock = clock
        self._poll_s = poll_s
        self._held: Release | None = None
        self._failure: BaseException | None = None
        self._state = self._reason = ""
        self._heard_s = clock.monotonic_s()
        self._delay_s = poll_s
        self._first = Event()
        self._closing = Event()
        self._thread = Thread(target=self._run, name="release-watch", daemon=True)

    def start(self) -> None:
        """Begin to follow the store."""
        self._thread.start()

    def close(self) -> None:
        """Stop following; the last release stays."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def current(self) -> Release | None:
        """Return the newest whole release, at once; None before the first. Raises what ended the thread."""
        if self._failure is not None:
            raise self._failure
        return self._held

    def trouble(self) -> str:
        """Return why the store does not confirm the release that serves; "" when it does."""
        return "" if self._state == _FOLLOWING else f"{self._state}: {self._reason}".removesuffix(": ")

    def silent_s(self) -> float:
        """Return how long ago the store last confirmed the release that serves."""
        return self._clock.monotonic_s() - self._heard_s

    def state(self) -> str:
        """Return the state of following the store as a short phrase; "" before its first answer."""
        return self._state

    def wait_first(self, stopping: Callable[[], bool]) -> Release | None:
        """Wait for the first release; None when `stopping` before.

        Where the store has none, or is away, log that now and then; a release that is being loaded is no reason to.
        """
        logged_s, said = self._clock.monotonic_s(), False
        while not stopping():
            answered = self._state != ""
            if (release := self.current()) is not None:
                return release
            now_s = self._clock.monotonic_s()
            if (answered and not said) or now_s - logged_s >= WAITING_LOG_S:
                _log.warning(
                    "waiting for the first release: stream-scorer publish --model DIR --offers PATH",
                    store=self.trouble(),
                )
                logged_s, said = now_s, True
            self._first.wait(_GLANCE_S)
        return None

    def poll(self) -> float:
        """Ask the store once, take over what is new, and return in how many seconds to ask again."""
        try:
            named = self._store.current()
            self._take(self._newest(named))
        except TransientError as error:
            return self._went_wrong("store away", error)
        except ReleaseError as error:
            return self._went_wrong("release unreadable", error)
        if named is None and self._held is not None:  # the last release serves on, unconfirmed
            return self._went_wrong("store without a release", ReleaseError("a ranker that starts now would wait"))
        self._heard_s = self._clock.monotonic_s()
        self._enter(_FOLLOWING if self._held else "no release yet")
        self._delay_s = self._poll_s
        return self._delay_s

    def _run(self) -> None:
        try:
            while not self._closing.wait(self.poll()):
                pass
        except BaseException as error:  # noqa: BLE001  handed to the main thread, which ends the process
            self._failure = error
        finally:
            self._first.set()

    def _newest(self, named: ReleaseId | None) -> Release | None:
        if named is None:
            return self._held
        if self._held is None or self._held.release_id != named:
            return self._store.load(named)
        return self._changed(self._held)

    def _changed(self, held: Release) -> Release:
        try:
            changes, mark = self._pending(held.release_id, held.mark)
            return held if mark == held.mark else replace(held, catalog=held.catalog.with_changes(changes), mark=mark)
        except (ReleaseError, BadModel) as error:
            reason = str(error)
        release = self._store.load(held.release_id)
        _log.warning("the release was read again", release_id=held.release_id, reason=reason)
        return release

    def _pending(self, release_id: ReleaseId, mark: str) -> tuple[list[OfferChange], str]:
        pending: list[OfferChange] = []
        while len(pending) <= CHANGES_MAX:
            changes, reached = self._store.changes(release_id, mark)
            if reached == mark:
                return pending, mark
            pending, mark = pending + changes, reached
        raise ReleaseError(f"more than {CHANGES_MAX} changes since")

    def _take(self, release: Release | None) -> None:
        if release is None or release is self._held:
            return
        if self._held is not None:
            release.catalog.make_ready_like(self._held.catalog)
        if release.reranker is not None:
            # now, or else the first batch would wait for all offers of the catalog
            before = None if self._held is None else self._held.catalog
            OfferSideOf(release.reranker).make_ready(release.catalog, before)
        if self._held is None or self._held.release_id != release.release_id:
            _log.info(
                "release held", release_id=release.release_id, offers=len(release.catalog), forced=list(release.forced)
            )
        self._held = release
        self._first.set()

    def _went_wrong(self, state: str, error: Exception) -> float:
        held = self._held.release_id if self._held else None
        self._enter(state, reason=str(error), held=held, silent_s=round(self.silent_s(), 1))
        self._delay_s = min(2 * self._delay_s, BACK_OFF_MAX_S)
        return self._delay_s

    def _enter(self, state: str, *, reason: str = "", **fields: object) -> None:
        """Log a change of state once, and again when there is another reason for it."""
        if (state, reason) == (self._state, self._reason):
            return
        log = _log.info if state == _FOLLOWING else _log.warning
        log("release_store_state", state=state, **({"reason": reason} if reason else {}), **fields)
        self._state, self._reason = state, reason

"""refresh: the offers topic into the current release, by its own item tower.

The store keeps how far the topic is applied to a release, and writes it together with the changes. So a release that
is new, or a store that has come back with less than it had, simply goes on from there. The group's committed offsets
have another meaning: up to them dead letters are written.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import structlog

from stream_scorer.core.features.coverage import WARNED_ROWS_MIN, FeatureCoverage
from stream_scorer.core.messages import OfferId, ReleaseId
from stream_scorer.core.records import Partition, Position, Record, progress_of
from stream_scorer.core.releases.change import OfferChange
from stream_scorer.core.releases.refreshing import fingerprint_of, fingerprints_of, refresh
from stream_scorer.core.towers.tower import Tower
from stream_scorer.core.wire.dead_letters import dead_letter_record
from stream_scorer.core.wire.letter_headers import HeaderStyle
from stream_scorer.errors import ReleaseError, TransientError
from stream_scorer.ports import Clock, Fetched, LogReader, RecordSource, ReleaseStore
from stream_scorer.services.streaming.loop import Work

CHANGES_PER_CALL = 256  # a call holds up every other client of the store while it runs
TOPIC_EVERY_S = 10.0  # how often the broker is asked whether the topic is still the same
BACK_OFF_S = (0.2, 5.0)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RefreshConfig:
    """The topics of a refresher; it looks at the store's pointer every `poll_s`."""

    topic: str
    dead_letters: str
    poll_s: float
    letter_headers: HeaderStyle = "ours"


@dataclass(slots=True)
class _Followed:
    """The release that is being refreshed, and how far it is."""

    release_id: ReleaseId
    item_tower: Tower
    fingerprints: dict[OfferId, int]  # of the offers as they are stored
    kept: dict[int, int]  # partition -> next offset to apply, as the store keeps it
    lettered: dict[int, int]  # partition -> offset up to which dead letters are written
    topic_id: str
    covered: FeatureCoverage | None  # of the changed offers, until there are enough to judge by


class Refresher:
    """The refresh job's part of the loop; see services.streaming.loop.Job. Its source starts paused."""

    name = "refresh"

    def __init__(
        self, store: ReleaseStore, source: RecordSource, reader: LogReader, config: RefreshConfig, *, clock: Clock
    ) -> None:
        self.counts = Counter(records=0, changes=0, dead_letters=0)
        self._store, self._source, self._reader, self._config, self._clock = store, source, reader, config, clock
        self._owned: set[int] = set()
        self._followed: _Followed | None = None
        self._state: tuple[str, object] = ("", None)
        self._delay_s = BACK_OFF_S[0]
        self._due_s = self._topic_due_s = 0.0

    def process(self, fetched: Fetched) -> Work | None:
        """See Job.process. Any trouble with the store ends the same way: pause, and begin again from what it has."""
        self._change_hands(fetched)
        try:
            if self._followed is None:
                self._begin()
            elif self._made_anew(self._followed):
                self._let_go("the offers topic was made anew")
            elif fetched.records:
                return self._apply(self._followed, fetched.records)
            else:
                self._look(self._followed)
        except (TransientError, ReleaseError) as error:
            self._let_go("held up", reason=str(error))
        return None

    def written(self, work: Work) -> None:
        """See Job.written."""
        self.counts.update(records=len(work.records), dead_letters=len(work.dead_letters))
        if self._followed is not None:
            self._followed.lettered |= {
                partition.number: position.offset for partition, position in work.progress.items()
            }

    def aborted(self) -> None:
        """See Job.aborted."""
        self._let_go("reading again", reason="a batch was not written")

    def idle(self) -> bool:
        """See Job.idle."""
        return self._followed is not None

    def _change_hands(self, fetched: Fetched) -> None:
        self._owned -= {one.number for one in fetched.assignment.dropped}
        if fetched.assignment.gained:
            self._owned |= {one.number for one in fetched.assignment.gained}
            self._followed = None  # what others changed in these partitions is not known here
            self._source.hold(self._partitions())
            self._due_s = 0.0

    def _partitions(self) -> list[Partition]:
        return [Partition(self._config.topic, number) for number in sorted(self._owned)]

    def _begin(self) -> None:
        """Take up the current release, from the progress that the store has of it."""
        if not self._owned or not self._is_due(self._delay_s):
            return
        release_id = self._store.current()
        if release_id is None:
            self._enter("waiting for the first release")
            return
        # It is read before the offers are: what comes between is read twice, never left out.
        progress = self._store.progress(release_id)
        ends = {number: self._reader.end(Partition(self._config.topic, number)) for number in self._owned}
        topic_id, applied = self._topic_id(), self._store.applied_topic(release_id)
        beyond = [number for number in sorted(self._owned) if progress.get(number, 0) > ends[number]]
        # a topic made anew may be longer than the old one was: then only its id shows it
        if beyond or (topic_id and applied not in ("", topic_id)):
            log.warning(
                "the offers topic was made anew: reading it from its start", release_id=release_id, partitions=beyond
            )
            self._store.forget_changes(release_id)
            progress = {}
        self._follow(release_id, progress, self._lettered(ends), topic_id)

    def _topic_id(self) -> str:
        shape = self._reader.topics([self._config.topic]).get(self._config.topic)
        return "" if shape is None else shape.topic_id

    def _made_anew(self, followed: _Followed) -> bool:
        now_s = self._clock.monotonic_s()
        if now_s < self._topic_due_s:
            return False
        self._topic_due_s = now_s + TOPIC_EVERY_S
        return self._topic_id() not in ("", followed.topic_id)

    def _follow(self, release_id: ReleaseId, progress: dict[int, int], lettered: dict[int, int], topic_id: str) -> None:
        release, model = self._store.load(release_id), self._store.model(release_id)
        self._followed = _Followed(
            release_id,
            model.item_tower,
            fingerprints_of(release.catalog),
            progress,
            lettered,
            topic_id,
            FeatureCoverage("offer", model.item_tower.spec.feature_names),
        )
        self._topic_due_s = self._clock.monotonic_s() + TOPIC_EVERY_S
        starts = {number: self._start(number, progress, lettered) for number in self._owned}
        self._source.start(
            {Partition(self._config.topic, number): Position(offset) for number, offset in starts.items()}
        )
        self._delay_s = BACK_OFF_S[0]
        self._enter("following", release_id=release_id, offers=len(release.catalog))

    def _lettered(self, ends: dict[int, int]) -> dict[int, int]:
        committed = self._reader.committed(self._partitions())
        lettered = {
            partition.number: position.offset for partition, position in committed.items() if position is not None
        }
        return {
            number: offset for number, offset in lettered.items() if offset <= ends[number]
        }  # one beyond is of a topic that is no more

    def _start(self, number: int, progress: dict[int, int], lettered: dict[int, int]) -> int:
        return max(
            self._reader.beginning(Partition(self._config.topic, number)),
            min(progress.get(number, 0), lettered.get(number, 0)),
        )

    def _apply(self, followed: _Followed, records: Sequence[Record]) -> Work:
        ends = {partition.number: position.offset for partition, position in progress_of(records).items()}
        refreshed = refresh(records, followed.fingerprints, followed.item_tower)
        *earlier, last = _pieces(refreshed.changes)
        topic = followed.topic_id
        for piece in earlier:
            self.counts["changes"] += self._store.change(followed.release_id, piece, progress={}, topic_id=topic)
        stretches = {number: (followed.kept.get(number, 0), end) for number, end in ends.items()}
        self.counts["changes"] += self._store.change(followed.release_id, last, progress=stretches, topic_id=topic)
        followed.kept |= {number: max(stretch) for number, stretch in stretches.items()}
        for change in refreshed.changes:
            _note(followed.fingerprints, change)
        _judge(followed, refreshed.coverage)
        letters = [
            letter
            for letter in refreshed.dead_letters
            if letter.record.offset >= followed.lettered.get(letter.record.partition, 0)
        ]
        if refreshed.changes or letters:
            log.info(
                "offers_refreshed",
                release_id=followed.release_id,
                changed=len(refreshed.changes),
                dead_letters=len(letters),
            )
        progress = {
            Partition(self._config.topic, number): Position(max(end, followed.lettered.get(number, 0)))
            for number, end in ends.items()
        }
        return Work(
            records,
            [dead_letter_record(letter, self._config.dead_letters, self._config.letter_headers) for letter in letters],
            letters,
            progress,
        )

    def _look(self, followed: _Followed) -> None:
        """See whether the pointer has moved, or the store has lost something, while no records came."""
        if not self._is_due(self._config.poll_s):
            return
        current = self._store.current()
        if current != followed.release_id:
            self._let_go("the pointer has moved", current=current)
            self._due_s = 0.0
            return
        progress = self._store.progress(followed.release_id)
        if any(progress.get(number, 0) < followed.kept.get(number, 0) for number in self._owned):
            self._let_go("the store has lost changes", release_id=current)

    def _is_due(self, every_s: float) -> bool:
        now_s = self._clock.monotonic_s()
        if now_s < self._due_s:
            return False
        self._due_s = now_s + every_s
        return True

    def _let_go(self, state: str, **fields: object) -> None:
        self._followed = None
        self._source.hold(self._partitions())
        self._enter(state, **fields)
        self._due_s = self._clock.monotonic_s() + self._delay_s
        self._delay_s = min(2 * self._delay_s, BACK_OFF_S[1])

    def _enter(self, state: str, **fields: object) -> None:
        """Log a change of state once."""
        if (state, fields.get("release_id")) != self._state:
            log.info("refresh_state", state=state, **fields)
            self._state = (state, fields.get("release_id"))


def _pieces(changes: Sequence[OfferChange]) -> Iterator[Sequence[OfferChange]]:
    """Yield at least one piece, though it be empty: progress goes with the last."""
    for start in range(0, max(1, len(changes)), CHANGES_PER_CALL):
        yield changes[start : start + CHANGES_PER_CALL]


def _judge(followed: _Followed, batch: FeatureCoverage) -> None:
    """Warn once, as soon as there are changed offers enough, of features that most of them lack."""
    if followed.covered is None:
        return
    covered = followed.covered.plus(batch)
    followed.covered = covered if covered.rows < WARNED_ROWS_MIN else None
    if covered.rows >= WARNED_ROWS_MIN and (missing := covered.mostly_missing()):
        log.warning(
            "features_missing",
            release_id=followed.release_id,
            offers=covered.rows,
            missing={name: covered.missing[name] for name in missing},
            unknown=list(covered.unknown),
        )


def _note(fingerprints: dict[OfferId, int], change: OfferChange) -> None:
    fingerprint = fingerprint_of(change.offer)
    if fingerprint is None:
        fingerprints.pop(change.offer_id, None)
    else:
        fingerprints[change.offer_id] = fingerprint

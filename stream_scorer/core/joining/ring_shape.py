"""What a ring's state depends on besides its records: the shape of its topics, and the settings that decide labels.

It is written beside the state, in the metadata of committed offsets: by joiners with the restore point, by rankers with
the partition count that they route by. Topics that grow do not change the count of a ring that has begun: a customer's
ranking and answers must meet in one partition, so both jobs go on with the count that is written until an operator
adopts another one with nothing open.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from stream_scorer.core.joining.labelling import Horizons

VERSION = 2
# the grain of the watermark and the slack of a quiet partition decide when a label is written, never what it says
DECIDE_LABELS = ("window_ms", "late_ms", "disorder_ms", "back_ms", "skew_ms")


@dataclass(frozen=True, slots=True)
class RingShape:
    """The shape of a ring.

    `partitions` counts those of rankings, outcomes and labels each; `topic_ids` has, by the topic's setting, the id
    that the broker gave it when it was made ("": the broker does not say). `emit` "" and `horizons` None: written by a
    job that does not depend on them.
    """

    partitions: int
    topic_ids: Mapping[str, str] = field(default_factory=dict)
    emit: str = ""
    horizons: Horizons | None = None

    def beside(self, point: str = "") -> str:
        """Return the metadata of a position: this shape with a restore point, which is JSON itself."""
        shape = {"partitions": self.partitions, "topic_ids": dict(self.topic_ids), "emit": self.emit}
        if self.horizons is not None:
            shape["horizons"] = asdict(self.horizons)
        text = json.dumps(shape, separators=(",", ":"))
        return f'{{"version":{VERSION},"shape":{text},"point":{point or "null"}}}'


def take_apart(metadata: str) -> tuple[str, RingShape | None]:
    """Return the restore point and the shape in the metadata of a position; earlier versions wrote the point alone.

    Raises ValueError for metadata that is not ours or of a later version.
    """
    if not metadata.startswith("{"):
        return metadata, None
    try:
        written = json.loads(metadata)
    except RecursionError as error:
        raise ValueError("the metadata of a committed offset is nested too deeply") from error
    if (version := written.get("version")) != VERSION:
        msg = f"the metadata of a committed offset must be of version {VERSION}, got {version!r}"
        raise ValueError(msg)
    try:
        shape, point = dict(written["shape"]), written["point"]
        horizons = shape.pop("horizons", None)
        read = RingShape(**shape, horizons=None if horizons is None else Horizons(**horizons))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the metadata of a committed offset cannot be read: {metadata[:100]!r}") from error
    return "" if point is None else json.dumps(point, separators=(",", ":")), read


def differences(written: RingShape, now: RingShape) -> tuple[str, ...]:
    """Return, a phrase each, what has changed since `written` so that its state cannot go on; more partitions can."""
    changed = [
        f"topics.{role} is another topic than it was"
        for role, topic_id in now.topic_ids.items()
        if topic_id and written.topic_ids.get(role, "") not in ("", topic_id)
    ]
    if now.partitions < written.partitions and not changed:
        changed.append(f"the ring had {written.partitions} partitions and has {now.partitions}")
    if now.emit and written.emit not in ("", now.emit):
        changed.append(f"join.emit was {written.emit} and is {now.emit}")
    return (*changed, *horizons_changed(written, now))


def horizons_changed(written: RingShape, now: RingShape) -> tuple[str, ...]:
    """Return, a phrase each, which horizons that decide labels have changed."""
    if written.horizons is None or now.horizons is None:
        return ()
    pairs = [(name, getattr(written.horizons, name), getattr(now.horizons, name)) for name in DECIDE_LABELS]
    return tuple(f"join.{name} was {before} and is {after}" for name, before, after in pairs if before != after)

"""Create the topics that are missing, and say what differs; nothing that exists is changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from stream_scorer.ports import TopicAdmin, TopicSpec, TopicState


@dataclass(frozen=True, slots=True)
class TopicResult:
    """What became of one topic; `differences` are sentences, empty when it is as it should be."""

    spec: TopicSpec
    action: Literal["created", "exists"]
    differences: tuple[str, ...]


def create_topics(admin: TopicAdmin, specs: Sequence[TopicSpec]) -> list[TopicResult]:
    """Create the missing topics and compare all of them with what they should be; again is harmless.

    Raises NotReady without a broker, UsageError when the broker refuses.
    """
    names = [spec.name for spec in specs]
    before = admin.describe(names)
    admin.create([spec for spec in specs if spec.name not in before])
    after = admin.describe(names)
    return [
        TopicResult(spec, "exists" if spec.name in before else "created", differences(spec, after[spec.name]))
        for spec in specs
    ]


def differences(spec: TopicSpec, state: TopicState) -> tuple[str, ...]:
    """Return a sentence per way in which a topic is not what it should be."""
    found = []
    if state.partitions != spec.partitions:
        found.append(f"{state.partitions} partitions, not {spec.partitions}")
    if state.replication_factor != spec.replication_factor:
        found.append(f"replication factor {state.replication_factor}, not {spec.replication_factor}")
    if state.config is None:
        return (*found, "the broker does not tell its configuration")
    for key, wanted in spec.config.items():
        if (value := state.config.get(key)) != wanted:
            found.append(f"{key} {value}, not {wanted}")
    return tuple(found)

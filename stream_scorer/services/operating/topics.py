"""Create the topics that are missing, and compare those that exist with the settings; these are never changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from stream_scorer.ports import TopicAdmin, TopicSpec, TopicState


@dataclass(frozen=True, slots=True)
class TopicResult:
    """What became of a topic; `differences` has a phrase for each way in which it is not as the settings ask."""

    spec: TopicSpec
    action: Literal["created", "exists"]
    differences: tuple[str, ...]


def create_topics(admin: TopicAdmin, specs: Sequence[TopicSpec]) -> list[TopicResult]:
    """Create the missing topics and compare all with the settings; running it again does no harm.

    Raises NotReady when no broker answers, UsageError when it refuses to create a topic.
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
    """Return a phrase for each way in which a topic is not as it should be: "4 partitions, not 8"."""
    found = []
    if state.partitions != spec.partitions:
        found.append(f"{state.partitions} partitions, not {spec.partitions}")
    if state.replication_factor != spec.replication_factor:
        found.append(f"replication factor {state.replication_factor}, not {spec.replication_factor}")
    if state.config is None:
        return (*found, "the broker does not report its configuration")
    for key, wanted in spec.config.items():
        if (value := state.config.get(key)) != wanted:
            found.append(f"{key} {value}, not {wanted}")
    return tuple(found)

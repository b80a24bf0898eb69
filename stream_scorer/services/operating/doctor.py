"""Examine brokers, topics, groups, Redis and the release; every warning or fault says what to do about it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np

from stream_scorer.core.features.coverage import coverage_of
from stream_scorer.core.releases.gate import SAMPLE_OFFERS
from stream_scorer.core.releases.release import Release
from stream_scorer.core.towers.model import Model
from stream_scorer.errors import ReleaseError, StreamScorerError
from stream_scorer.ports import ReleaseReader, StoreAdmin, TopicAdmin, TopicSpec, TopicState

_FULL_SHARE = 0.8
_UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check; `do` says what to do about a warning or a fault."""

    check: str
    state: Literal["ok", "warning", "fault"]
    says: str
    do: str = ""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the settings ask of the outside.

    `aligned` topics need equal partition counts; `kept_ms` is how long a topic must keep its records, at least;
    `groups` maps each group to the command that works in it and the topics that it reads.
    """

    specs: Sequence[TopicSpec]
    aligned: Sequence[str]
    kept_ms: Mapping[str, int]
    groups: Mapping[str, tuple[str, Sequence[str]]]
    transactions: bool


def examine(
    admin: TopicAdmin,
    server: StoreAdmin,
    releases: ReleaseReader,
    expected: Expected,
    *,
    now_ms: int,
    ring: Callable[[], Iterable[Finding]] = tuple,
    letters: Callable[[], Iterable[Finding]] = tuple,
    index: Callable[[], Iterable[Finding]] = tuple,
) -> list[Finding]:
    """Return all findings. What cannot be examined is a fault and never ends the examination.

    Where no broker answers, topics and groups are not examined; nor is the release where Redis does not.
    """
    findings = list(
        _guarded("brokers", lambda: _brokers(admin, expected), "start Kafka, or set kafka.bootstrap_servers")
    )
    if findings[0].state != "fault":
        findings += _guarded("topics", lambda: _topics(admin, expected), "look at the brokers' logs")
        findings += [finding for group in expected.groups for finding in _group(admin, group, expected)]
        if not any(finding.check == "partitions" for finding in findings):
            findings += ring()
        findings += _guarded_softly("dead letters", letters)
    stored = list(_guarded("redis", lambda: _server(server), "start Redis or Valkey, or set redis.url"))
    if stored[0].state != "fault":
        stored += _guarded(
            "release",
            lambda: _release(releases, now_ms),
            "publish a model, or go back to an earlier release: stream-scorer publish",
        )
        if all(finding.state != "fault" for finding in stored):
            stored += _guarded_softly("index", index)
    return findings + stored


def _guarded(check: str, look: Callable[[], Iterable[Finding]], do: str) -> Iterator[Finding]:
    """Yield what a look yields; an expected error ends it as a fault."""
    try:
        yield from look()
    except StreamScorerError as error:
        yield Finding(check, "fault", str(error), do)


def _brokers(admin: TopicAdmin, expected: Expected) -> Iterator[Finding]:
    brokers = admin.brokers()
    yield Finding("brokers", "ok", f"{len(brokers)} at {', '.join(brokers[:3])}")
    if expected.transactions:
        reason = admin.transactions()
        if reason is None:
            yield Finding("transactions", "ok", "possible")
        else:
            do = (
                "allow this user's transactional ids, give __transaction_state enough replicas, "
                "or set loop.delivery to at_least_once"
            )
            yield Finding("transactions", "fault", f"not possible: {reason}", do)
    if len(brokers) > 1 and expected.specs[0].replication_factor == 1:
        yield Finding(
            "replication",
            "warning",
            "topics.replication_factor is 1: a broker that is lost takes its records with it",
            "set it to 3",
        )


def _topics(admin: TopicAdmin, expected: Expected) -> Iterator[Finding]:
    states = admin.describe([spec.name for spec in expected.specs])
    for spec in expected.specs:
        if spec.name not in states:
            yield Finding(
                spec.name, "fault", "the topic does not exist, or this user may not see it", "stream-scorer topics"
            )
        else:
            yield from _topic(spec, states[spec.name], expected)
    yield from _counts({name: states[name].partitions for name in expected.aligned if name in states})


def _topic(spec: TopicSpec, state: TopicState, expected: Expected) -> Iterator[Finding]:
    faults = list(_faults(spec, state.config, expected.kept_ms.get(spec.name))) if state.config is not None else []
    yield from faults
    if state.config is None:
        says = f"{state.partitions} partitions; the broker does not report its configuration"
        yield Finding(spec.name, "warning", says, "nothing, if this is the embedded broker")
    elif not faults:
        yield Finding(spec.name, "ok", f"{state.partitions} partitions, {state.replication_factor} replicas")


def _faults(spec: TopicSpec, config: Mapping[str, str], kept_ms: int | None) -> Iterator[Finding]:
    # what to type: whoever reads a fault at night should not have to look the command up
    def alter(key: str, value: str) -> str:
        return f"kafka-configs.sh --alter --entity-type topics --entity-name {spec.name} --add-config {key}={value}"

    for key in ("cleanup.policy", "message.timestamp.type"):
        wanted, found = spec.config.get(key), config.get(key, "")
        if wanted is not None and found != wanted:
            yield Finding(spec.name, "fault", f"{key} is {found}, must be {wanted}", alter(key, wanted))
    bytes_min = int(spec.config["max.message.bytes"])
    if int(config.get("max.message.bytes", bytes_min)) < bytes_min:
        says = f"max.message.bytes is {config['max.message.bytes']}, must be at least {bytes_min}"
        yield Finding(spec.name, "fault", says, alter("max.message.bytes", str(bytes_min)))
    retention_ms = int(config.get("retention.ms", _UNLIMITED))
    if kept_ms is not None and _UNLIMITED < retention_ms < kept_ms:
        says = f"retention.ms is {retention_ms}, must be at least {kept_ms}: the join reads back that far"
        yield Finding(spec.name, "fault", says, alter("retention.ms", spec.config.get("retention.ms", str(kept_ms))))


def _counts(partitions: Mapping[str, int]) -> Iterator[Finding]:
    if len(set(partitions.values())) > 1:
        most = max(partitions.values())
        fewer = ", ".join(f"{name} has {count}" for name, count in partitions.items() if count < most)
        says = f"partition counts must be equal: the most is {most}, but {fewer}"
        yield Finding(
            "partitions",
            "fault",
            says,
            f"stop the ring, let it drain, then kafka-topics.sh --alter --partitions {most}",
        )


def _group(admin: TopicAdmin, group: str, expected: Expected) -> Iterator[Finding]:
    command, topics = expected.groups[group]

    def look() -> Iterator[Finding]:
        behind, members = sum(admin.lag(group, topics).values()), admin.members(group)
        says = f"{members} members, {behind:,} records behind"
        if behind and not members:
            yield Finding(group, "warning", says, f"stream-scorer {command}")
        else:
            yield Finding(group, "ok", says)

    yield from _guarded_softly(group, look)


def _guarded_softly(check: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield what a look yields; an expected error ends it as a warning, for what is only informative."""
    for finding in _guarded(check, look, ""):
        yield finding if finding.state != "fault" else Finding(check, "warning", finding.says)


def _server(server: StoreAdmin) -> Iterator[Finding]:
    facts = server.facts()
    yield Finding("redis", "ok", facts.version)
    if facts.eviction_policy not in {None, "noeviction"}:
        do = "CONFIG SET maxmemory-policy noeviction, and in its configuration file"
        yield Finding(
            "redis memory", "fault", f"maxmemory-policy is {facts.eviction_policy}: it may drop parts of a release", do
        )
    if facts.memory_max_bytes and facts.memory_used_bytes is not None:
        share = facts.memory_used_bytes / facts.memory_max_bytes
        says = f"{share:.0%} of {facts.memory_max_bytes / 2**20:,.0f} MiB used"
        full = share > _FULL_SHARE
        yield Finding(
            "redis memory",
            "warning" if full else "ok",
            says,
            "raise maxmemory: the next release is written beside the current one" if full else "",
        )


def _release(releases: ReleaseReader, now_ms: int) -> Iterator[Finding]:
    current = releases.current()
    if current is None:
        raise ReleaseError("there is no release yet, and rankers wait for one")
    release = releases.load(current)
    age_s = (now_ms - release.created_ms) / 1000
    yield Finding("release", "ok", f"{current}: whole, {len(release.catalog):,} offers, made {_age(age_s)} ago")
    yield _features(release, releases.model(current))


def _features(release: Release, model: Model) -> Finding:
    """Check on a sample whether the current release's offers have the features that the model reads."""
    spec, fragments = model.item_tower.spec, release.catalog.fragments
    rows = np.unique(np.linspace(0, len(fragments) - 1, min(len(fragments), SAMPLE_OFFERS)).astype(int)).tolist()
    coverage = coverage_of(spec, [msgspec.json.decode(fragments[row], type=dict[str, Any]) for row in rows])
    do = "publish offers that have them; for requests, see stream_scorer_features_total on the rankers' metrics"
    if missing := coverage.mostly_missing():
        says = f"{len(missing)} of {len(coverage.read)} features that the model reads are missing from most offers: "
        return Finding("features", "warning", says + ", ".join(missing[:5]), do)
    return Finding("features", "ok", f"offers have the {len(coverage.read)} features that the model reads")


def _age(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"

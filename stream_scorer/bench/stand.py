"""The servers on which everything is measured, a release to serve, and workers that run one after the other."""

import json
import os
import tempfile
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from stream_scorer.adapters.kafka.admin import KafkaTopicAdmin
from stream_scorer.adapters.kafka.client import PRODUCER
from stream_scorer.adapters.kafka.feed import KafkaFeed
from stream_scorer.adapters.local.clock import SystemClock
from stream_scorer.adapters.local.kafka import LocalKafka
from stream_scorer.adapters.local.own_process import OwnProcess
from stream_scorer.adapters.local.valkey import LocalValkey
from stream_scorer.bench import job
from stream_scorer.bench.kinds import Load
from stream_scorer.bench.measured_process import start_bare
from stream_scorer.core.records import OutputRecord
from stream_scorer.ports import TopicSpec
from stream_scorer.services.learning.publisher import draft_release, publish
from stream_scorer.services.operating.scoring import score
from stream_scorer.settings import Delivery, LocalSettings, Settings
from stream_scorer.topic_plan import topic_specs
from stream_scorer.wiring.brokers import member_config
from stream_scorer.wiring.stores import release_store

Worker = Literal["bare", "rank", "join"]
_RECENT_ANSWERS = 512


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a worker, with topics and a group that no other run uses."""

    worker: Worker
    delivery: Delivery
    settings: Settings
    config: Path


class Stand:
    """Servers that run as long as a `with` block; runs are numbered, so that none reads what another has left."""

    def __init__(
        self, *, offers: int, batch: int, partitions: int, mix: bool = False, servers: tuple[str, str] | None = None
    ) -> None:
        """Prepare to start servers, or to use running ones: `servers` gives their bootstrap servers and Redis URL."""
        self.load = Load(is_mixed=mix)
        self._servers = servers
        self._offers, self._batch, self._partitions = offers, batch, partitions
        self._open = ExitStack()
        self._numbers, self._stamp = count(1), uuid.uuid4().hex[:6]
        self.folder = Path()
        self.ranking_bytes = 0

    def __enter__(self) -> Self:
        self._kafka, self._redis_url = self._servers or self._started()
        self.folder = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="stream-scorer-bench-")))
        self.admin = KafkaTopicAdmin({"bootstrap.servers": self._kafka})
        self._publish()
        return self

    def _started(self) -> tuple[str, str]:
        places = LocalSettings()
        kafka = self._open.enter_context(LocalKafka(cache=places.cache, kafka_home=places.kafka_home))
        return kafka.bootstrap_servers, self._open.enter_context(LocalValkey()).url

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _publish(self) -> None:
        draft = draft_release(
            job.model(), job.offers(self._offers), created_ms=SystemClock().now_ms(), embedded=lambda done: None
        )
        settings = self._settings({})
        publish(release_store(settings), job.model(), draft, keep=1, force=False)
        self.release = draft.release
        requests, acceptances = self.load.records(_RECENT_ANSWERS)
        ranked = [
            ranking
            for scored in score(requests, draft.release, ranking_bytes_max=1_000_000)
            for ranking in scored.rankings
        ]
        self.ranking_bytes = sum(map(len, ranked)) // len(ranked)
        # An outcome is about as long as the acceptance that it validates.
        (self.folder / "answers").write_bytes(b"\n".join([*ranked, *acceptances]))

    def _settings(self, topics: dict[str, str]) -> Settings:
        return Settings.model_validate(
            {
                "kafka": {"bootstrap_servers": self._kafka},
                "redis": {"url": self._redis_url, "prefix": "stream-scorer-bench"},
                "topics": {"partitions": self._partitions, **topics},
                "loop": {"batch_records_max": self._batch},
            }
        )

    def new_run(self, worker: Worker, delivery: Delivery, *, given: Mapping[str, str] | None = None) -> Run:
        """Create the topics of one run; `given` maps a topic's role to an existing topic that the run reads instead."""
        tag = f"{self._stamp}-{next(self._numbers)}"
        names = ("requests", "acceptances", "offers", "rankings", "outcomes", "labels", "dead_letters")
        topics = {**{name: f"{name}-{tag}" for name in names}, **(given or {})}
        settings = self._settings(topics)
        self.admin.create([spec for spec in topic_specs(settings) if self._is_missing(spec)])
        config = self.folder / f"run-{tag}.toml"
        config.write_text(_toml(settings, tag))
        return Run(worker, delivery, settings, config)

    def _is_missing(self, spec: TopicSpec) -> bool:
        return spec.name not in self.admin.describe([spec.name])

    def full_topics(self, events: int) -> dict[str, str]:
        """Fill topics of requests and acceptances with the load, and return them for runs to read; see `new_run`."""
        topics = self.new_run("bare", "at_least_once").settings.topics
        given = {"requests": topics.requests, "acceptances": topics.acceptances}
        for topic, values in zip(given.values(), self.load.records(events), strict=True):
            self.fill(topic, values)
        return given

    def fill(self, topic: str, values: Sequence[bytes]) -> None:
        """Send values, each with its number as the key."""
        self.send(topic, (OutputRecord(topic, str(number).encode(), value) for number, value in enumerate(values)))

    def send(self, topic: str, records: Iterable[OutputRecord]) -> None:
        """Send records to a topic, and wait for their deliveries."""
        feed = KafkaFeed({"bootstrap.servers": self._kafka}, topic)
        for record in records:
            feed.send([record])
        feed.flush()

    def start(self, run: Run, *, until_idle_s: float | None, options: Sequence[str] = ()) -> OwnProcess:
        """Start the run's worker; `options` are added to its command."""
        log = run.config.with_suffix(".log")
        if run.worker == "bare":
            return start_bare("stream_scorer.bench.rank.bare", [json.dumps(self._bare(run, until_idle_s))], log=log)
        words = ["--config", str(run.config), run.worker, "--delivery", run.delivery, "--parent", str(os.getpid())]
        words += ["--until-idle", str(until_idle_s)] if until_idle_s is not None else []
        return start_bare("stream_scorer", [*words, *options], log=log)

    def _bare(self, run: Run, until_idle_s: float | None) -> dict[str, object]:
        settings, tag = run.settings, run.config.stem
        producer = {**PRODUCER, **settings.kafka.client_config(), "compression.type": settings.kafka.compression}
        exactly = {"transactional.id": tag, "transaction.timeout.ms": settings.kafka.transaction_timeout_ms}
        return {
            "consumer": member_config(settings, tag),
            "producer": {**producer, **(exactly if run.delivery == "exactly_once" else {"enable.idempotence": True})},
            "sources": [settings.topics.requests, settings.topics.acceptances],
            "target": settings.topics.rankings,
            "values": str(self.folder / "answers"),
            "batch": self._batch,
            "until_idle_s": until_idle_s,
            "parent": os.getpid(),
        }


def _toml(settings: Settings, tag: str) -> str:
    topics = "\n".join(f"{name} = {json.dumps(value)}" for name, value in settings.topics.model_dump().items())
    return f"""
[kafka]
bootstrap_servers = {json.dumps(settings.kafka.bootstrap_servers)}
[redis]
url = {json.dumps(settings.redis.url.get_secret_value())}
prefix = {json.dumps(settings.redis.prefix)}
[topics]
{topics}
[loop]
batch_records_max = {settings.loop.batch_records_max}
[rank]
group = "bench-{tag}"
[join]
group = "bench-join-{tag}"
"""

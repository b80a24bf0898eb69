"""The ring on real servers: workers as processes, events in, what came out read back."""

import uuid
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psutil
from confluent_kafka import Producer
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from stream_scorer.adapters.kafka.client import new_producer
from stream_scorer.adapters.kafka.log import KafkaLog
from stream_scorer.adapters.local.clock import SystemClock
from stream_scorer.adapters.local.own_command import python_command, without_settings
from stream_scorer.adapters.local.own_process import OwnProcess
from stream_scorer.core.messages import Offer
from stream_scorer.core.records import Partition, Record
from stream_scorer.core.releases.release import Release
from stream_scorer.core.towers.model import Model
from stream_scorer.errors import TransientError
from stream_scorer.services.learning.publisher import draft_release, publish
from stream_scorer.settings import Settings
from stream_scorer.topic_settings import TopicSettings
from stream_scorer.wiring.stores import release_store
from tests.commands import Done, run
from tests.waiting import wait_for

START_MS = 1_763_000_000_000

_until_settled = retry(
    retry=retry_if_exception_type(TransientError), stop=stop_after_delay(30), wait=wait_fixed(0.2), reraise=True
)


@dataclass
class Ring:
    """One ring: topics, groups and a key prefix of its own."""

    kafka: str
    redis_url: str
    topics: TopicSettings
    tag: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    options: dict[str, str] = field(default_factory=dict)
    client: dict[str, str] = field(default_factory=dict)
    """How the test itself connects, beside what the workers are given."""
    _running: list[OwnProcess] = field(default_factory=list)

    def variables(self) -> dict[str, str]:
        names = {
            f"STREAM_SCORER_TOPICS__{name.upper()}": str(value) for name, value in self.topics.model_dump().items()
        }
        return {
            "STREAM_SCORER_KAFKA__BOOTSTRAP_SERVERS": self.kafka,
            "STREAM_SCORER_KAFKA__SESSION_TIMEOUT_MS": "6000",
            "STREAM_SCORER_KAFKA__TRANSACTION_TIMEOUT_MS": "10000",
            "STREAM_SCORER_REDIS__URL": self.redis_url,
            "STREAM_SCORER_REDIS__PREFIX": self.tag,
            "STREAM_SCORER_RANK__GROUP": f"rank-{self.tag}",
            "STREAM_SCORER_JOIN__GROUP": f"join-{self.tag}",
            "STREAM_SCORER_REFRESH__GROUP": f"refresh-{self.tag}",
            "STREAM_SCORER_BUFFER__GROUP": f"buffer-{self.tag}",
            "STREAM_SCORER_DEAD_LETTERS__GROUP": f"resend-{self.tag}",
            **names,
            **self.options,
        }

    def settings(self) -> Settings:
        """Return the settings that the workers read from `variables`."""
        tree: dict[str, dict[str, object]] = {}
        for name, value in self.variables().items():
            part, key = name.removeprefix("STREAM_SCORER_").lower().split("__")
            tree.setdefault(part, {})[key] = value
        return Settings.model_validate(tree)

    def command(self, *words: str, **variables: str) -> Done:
        """Run a command of ours to its end, on the ring."""
        return run(*words, **{**self.variables(), **variables})

    def start(self, *words: str, log: Path, **variables: str) -> OwnProcess:
        """Start a command of ours on the ring; it ends with `stop`, and with the tests, however they end."""
        environment = {**without_settings(), **self.variables(), **variables}
        process = OwnProcess(python_command("stream_scorer", *words), log=log, environment=environment, watched=True)
        self._running.append(process)
        return process

    def run(self, *words: str, log: Path, timeout_s: float = 120) -> None:
        code = self.start(*words, log=log).wait(timeout_s)
        assert code == 0, log.read_text()[-4_000:]

    def workers(self, serve: OwnProcess, count: int, *, timeout_s: float = 90) -> list[psutil.Process]:
        """Wait until `serve` runs so many workers, and return them."""
        wait_for(lambda: len(_workers(serve)) >= count, f"{count} workers of serve", within_s=timeout_s)
        return _workers(serve)

    def stop(self) -> None:
        for process in self._running:
            process.kill()
            process.wait(30)

    def publish(self, model: Model, offers: Sequence[Offer]) -> Release:
        store = release_store(self.settings())
        draft = draft_release(model, offers, created_ms=SystemClock().now_ms(), embedded=lambda done: None)
        return publish(store, model, draft, keep=3, force=True)

    def producer(self) -> Producer:
        return new_producer({"bootstrap.servers": self.kafka, **self.client, "linger.ms": 5})

    def send(self, topic: str, values: Iterable[bytes | dict[str, Any]]) -> None:
        producer = self.producer()
        for number, value in enumerate(values):
            producer.produce(
                topic, value if isinstance(value, bytes) else msgspec.json.encode(value), key=f"{number}".encode()
            )
            producer.poll(0)
        assert producer.flush(30) == 0

    @_until_settled
    def read(self, topic: str) -> list[Record]:
        with closing(self._log(f"reader-{self.tag}")) as log:
            partitions = self._partitions(topic)
            return [
                record
                for one in partitions
                for batch in log.read(one, log.beginning(one), log.end(one))
                for record in batch
            ]

    def wait_until_read(self, group: str, topics: Sequence[str], *, timeout_s: float = 120) -> None:
        """Wait until no committed record of these topics lies ahead of a group; markers and what was aborted may."""
        wait_for(
            lambda: not self._ahead(f"{group}-{self.tag}", topics),
            f"{group} reads {topics}",
            within_s=timeout_s,
            every_s=0.2,
        )

    @_until_settled
    def _ahead(self, group: str, topics: Sequence[str]) -> list[Partition]:
        with closing(self._log(group)) as log:
            places = log.committed([one for topic in topics for one in self._partitions(topic)])
            starts = {one: log.beginning(one) if place is None else place.offset for one, place in places.items()}
            return [one for one, start in starts.items() if any(log.read(one, start, log.end(one)))]

    def _log(self, group: str) -> KafkaLog:
        return KafkaLog({"bootstrap.servers": self.kafka, "group.id": group}, timeout_s=30)

    def _partitions(self, topic: str) -> list[Partition]:
        return [Partition(topic, number) for number in range(self.topics.partitions)]


def _workers(serve: OwnProcess) -> list[psutil.Process]:
    return [process for process in psutil.Process(serve.pid).children() if _works(process)]


def _works(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def request(number: int, **changes: object) -> dict[str, Any]:
    return {
        "request_id": f"q-{number}", "customer_id": f"c-{number % 97}", "event_time_ms": START_MS + number,
        "features": {"price": float(number % 13), "colour": "red" if number % 2 else "blue"}, "limit": 3, **changes,
    }  # fmt: skip


def acceptance(number: int, offer_id: str, *, accepted: bool = True, **changes: object) -> dict[str, Any]:
    return {
        "acceptance_id": f"a-{number}-{offer_id}", "request_id": f"q-{number}",
        "customer_id": f"c-{number % 97}", "offer_id": offer_id,
        "accepted": accepted, "event_time_ms": START_MS + number + 500, **changes,
    }  # fmt: skip


def values(records: Iterable[Record]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(record.value or b"") for record in records]

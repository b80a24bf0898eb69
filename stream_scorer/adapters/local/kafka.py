"""A real Apache Kafka of one node (KRaft) in a folder of its own, for tests, `up` and `demo --kafka`."""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stream_scorer.adapters.local.free_port import free_ports, listening
from stream_scorer.adapters.local.kafka_jars import java, kafka_jars
from stream_scorer.adapters.local.kept_process import KeptProcess
from stream_scorer.errors import NotReady

START_S = 60.0
ATTEMPTS_MAX = 3
CLUSTER_ID = "c3RyZWFtLXNjb3Jlci1rYQ"

PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "num.partitions": "8",
    "offsets.topic.num.partitions": "8",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "8",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "4000",
    "message.max.bytes": "4194304",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.session.timeout.ms": "3000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "1000",
    "transaction.max.timeout.ms": "900000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "log.cleaner.dedupe.buffer.size": "8388608",
}

LOGGING = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss,SSS} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""


class LocalKafka:
    """One broker, from `start` to `stop`; what it holds goes with it. Ends with us, however we end."""

    def __init__(
        self,
        *,
        cache: Path,
        kafka_home: Path | None = None,
        properties: Mapping[str, str] | None = None,
        client: Mapping[str, str] | None = None,
        heap: str = "768m",
    ) -> None:
        """Add `properties` to the broker's own.

        `client` is how it is asked whether it answers, where it wants credentials.
        """
        self._cache = cache
        self._kafka_home = kafka_home
        self._properties = {**PROPERTIES, **(properties or {})}
        self._client = dict(client or {})
        self._heap = heap
        self._folder: Path | None = None
        self._process: KeptProcess | None = None
        self.port = 0

    @property
    def bootstrap_servers(self) -> str:
        """Return where clients find it."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Format a fresh data folder and wait until the broker answers, at most `START_S`.

        Raises NotReady with the log's end.
        """
        jars = kafka_jars(kafka_home=self._kafka_home, cache=self._cache)
        for attempt in range(1, ATTEMPTS_MAX + 1):
            self._folder = Path(tempfile.mkdtemp(prefix="stream-scorer-kafka-"))
            self.port, controller_port = free_ports(2)
            self._configure(self._folder, controller_port)
            self._run(
                jars,
                "kafka.tools.StorageTool",
                "format",
                "-t",
                CLUSTER_ID,
                "-c",
                str(self._folder / "server.properties"),
            )
            try:
                self.resume()
            except NotReady as trouble:
                said = self._log_end()
                self.stop()
                if "already in use" not in said or attempt == ATTEMPTS_MAX:
                    raise NotReady(f"{trouble}\n{said}") from None
            else:
                return

    def resume(self) -> None:
        """Run the broker on the data and ports it has, after `halt` or `kill`."""
        assert self._folder is not None, "start() comes first"
        jars = kafka_jars(kafka_home=self._kafka_home, cache=self._cache)
        server = self._command(jars, "kafka.Kafka", str(self._folder / "server.properties"))
        self._process = KeptProcess(server, folder=self._folder, log=self._folder / "kafka.log")
        self._wait()

    def running(self) -> bool:
        """Say whether the broker is there."""
        return self._process is not None and self._process.running()

    def halt(self) -> None:
        """Stop the broker in order and keep its data."""
        if self._process is not None:
            self._process.end()
            self._process = None

    def kill(self) -> None:
        """End the broker at once, as SIGKILL does, and keep its data."""
        self.signal(signal.SIGKILL)
        self.halt()

    def signal(self, number: signal.Signals) -> None:
        """Send the broker a signal, such as SIGSTOP and SIGCONT."""
        assert self._process is not None, "the broker does not run"
        self._process.signal(number)

    def stop(self) -> None:
        """Stop the broker and remove its data."""
        self.halt()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _configure(self, folder: Path, controller_port: int) -> None:
        listeners = f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller_port}"
        placed = {
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
            "listeners": listeners,
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "log.dirs": str(folder / "data"),
        }
        lines = [f"{key}={value}" for key, value in {**placed, **self._properties}.items()]
        (folder / "server.properties").write_text("\n".join(lines) + "\n")
        (folder / "log4j2.properties").write_text(LOGGING)

    def _command(self, jars: Path, main: str, *arguments: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile=file:{self._folder}/log4j2.properties"
        return [java(), f"-Xmx{self._heap}", "-XX:-UsePerfData", logging, "-cp", f"{jars}/*", main, *arguments]

    def _run(self, jars: Path, main: str, *arguments: str) -> None:
        done = subprocess.run(
            self._command(jars, main, *arguments), capture_output=True, text=True, timeout=START_S, check=False
        )
        if done.returncode != 0:
            self.stop()
            raise NotReady(f"{main} failed: {_said(done.stdout + done.stderr)}")

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.running():
            if listening(self.port) and _answers({"bootstrap.servers": self.bootstrap_servers, **self._client}):
                return
            time.sleep(0.05)
        raise NotReady(f"Kafka did not answer on {self.bootstrap_servers} within {START_S:g} s")

    def _log_end(self) -> str:
        assert self._folder is not None
        return _said((self._folder / "kafka.log").read_text(errors="replace"))


def _said(text: str) -> str:
    """Return the end of what was said, without the traces: the reason is above them."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("\tat "))[-1500:].strip()


def _answers(config: Mapping[str, str]) -> bool:
    client = AdminClient({**config, "log_level": 0})
    try:
        return len(client.list_topics(timeout=5).brokers) > 0
    except KafkaException:
        return False

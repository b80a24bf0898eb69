"""A real Apache Kafka of one node (KRaft), for tests, `up` and `demo --kafka`."""

from collections.abc import Mapping
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stream_scorer.adapters.local.free_port import free_ports, listening
from stream_scorer.adapters.local.kafka_jars import java, kafka_jars
from stream_scorer.adapters.local.local_server import LocalServer, without_traces
from stream_scorer.adapters.local.own_process import OwnProcess
from stream_scorer.errors import NotReady

START_S = 60.0
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


class LocalKafka(LocalServer):
    """See LocalServer. One broker; what it was sent lies in its folder, so `resume` has it again."""

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
        super().__init__("kafka", start_s=START_S)
        self._cache = cache
        self._kafka_home = kafka_home
        self._properties = {**PROPERTIES, **(properties or {})}
        self._client = dict(client or {})
        self._heap = heap

    @property
    def bootstrap_servers(self) -> str:
        """Return where clients find it."""
        return f"127.0.0.1:{self.port}"

    def _prepare(self, folder: Path) -> None:
        controller_port = next(port for port in free_ports(2) if port != self.port)
        placed = {
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
            "listeners": f"PLAINTEXT://{self.bootstrap_servers},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap_servers}",
            "log.dirs": str(folder / "data"),
        }
        lines = [f"{key}={value}" for key, value in {**placed, **self._properties}.items()]
        (folder / "server.properties").write_text("\n".join(lines) + "\n")
        (folder / "log4j2.properties").write_text(LOGGING)
        self._format(folder)

    def _format(self, folder: Path) -> None:
        words = ["format", "-t", CLUSTER_ID, "-c", str(folder / "server.properties")]
        command = self._java(folder, "kafka.tools.StorageTool", *words)
        with OwnProcess(command, log=folder / "format.log", watched=True) as formatting:
            try:
                code = formatting.wait(START_S)
            except TimeoutError as error:
                raise NotReady(str(error)) from None
        if code != 0:
            raise NotReady(f"formatting Kafka's folder failed: {without_traces(formatting.last_output(100_000))}")

    def _command(self, folder: Path) -> list[str]:
        return self._java(folder, "kafka.Kafka", str(folder / "server.properties"))

    def _java(self, folder: Path, main: str, *arguments: str) -> list[str]:
        jars = kafka_jars(kafka_home=self._kafka_home, cache=self._cache)
        logging = f"-Dlog4j2.configurationFile=file:{folder}/log4j2.properties"
        return [java(), f"-Xmx{self._heap}", "-XX:-UsePerfData", logging, "-cp", f"{jars}/*", main, *arguments]

    def _answers(self) -> bool:
        return listening(self.port) and _has_brokers({"bootstrap.servers": self.bootstrap_servers, **self._client})


def _has_brokers(config: Mapping[str, str]) -> bool:
    client = AdminClient({**config, "log_level": 0})
    try:
        return len(client.list_topics(timeout=5).brokers) > 0
    except KafkaException:
        return False

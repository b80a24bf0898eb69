"""An embedded broker for the demo: librdkafka's mock cluster, which the Kafka client carries, in this process.

It speaks the protocol to any client on this machine, other processes too, and needs no Java. It is a mock: nothing is
kept when the process ends, a partition keeps its last 5 MiB, transactions are not modelled (aborted records are
visible, offsets sent in a transaction are dropped, nobody is fenced), clients cannot create, describe or delete topics
(unknown ones appear with 4 partitions), and fetches are not woken by new records, hence `FETCH_WAIT_MAX_MS`. Serve at
least once here, and prove nothing about exactly once.

A rebalance takes as long as the group protocol lets it: with the classic protocol `session.timeout.ms` less a second,
so a second with `SESSION_TIMEOUT_MS` (measured: 5.1 s at 6,000, 0.6 s at 1,500, cooperative twice that), the consumer
protocol of KIP-848 three seconds.
"""

import ctypes
import ctypes.util
from collections.abc import Mapping
from pathlib import Path

import confluent_kafka

from stream_scorer.adapters.local.local_server import StartedInWith
from stream_scorer.errors import NotReady

SESSION_TIMEOUT_MS = 2_000
FETCH_WAIT_MAX_MS = 10

_PRODUCER = 0
_ERROR_BYTES = 512


class EmbeddedBroker(StartedInWith):
    """One mock broker from `start` to `stop`, with these topics (name: partitions)."""

    def __init__(self, topics: Mapping[str, int]) -> None:
        self._topics = dict(topics)
        self._library = _load()
        self._client: int | None = None
        self._cluster: int | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Return where clients find it."""
        assert self._cluster is not None, "start() comes first"
        return str(self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode())

    def start(self) -> None:
        """Open the cluster and make its topics. Raises NotReady where librdkafka declines."""
        library = self._library
        error = ctypes.create_string_buffer(_ERROR_BYTES)
        options = library.rd_kafka_conf_new()
        library.rd_kafka_conf_set(options, b"log_level", b"0", error, _ERROR_BYTES)
        self._client = library.rd_kafka_new(_PRODUCER, options, error, _ERROR_BYTES)
        self._cluster = library.rd_kafka_mock_cluster_new(self._client, 1) if self._client else None
        if self._cluster is None:
            raise NotReady(
                f"librdkafka {confluent_kafka.libversion()[0]} could not start its mock cluster: {error.value.decode()}"
            )
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        for name, partitions in self._topics.items():
            code = library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)
            if code != 0:
                raise NotReady(f"the embedded broker refused topic {name!r} with {partitions} partitions: error {code}")

    def stop(self) -> None:
        """Close the cluster; everything in it is gone."""
        if self._cluster is not None:
            self._library.rd_kafka_mock_cluster_destroy(self._cluster)
            self._cluster = None
        if self._client is not None:
            self._library.rd_kafka_destroy(self._client)
            self._client = None


def _load() -> ctypes.CDLL:
    """Return the Kafka client's librdkafka, with the signatures of what we call (rdkafka.h, rdkafka_mock.h)."""
    library = ctypes.CDLL(_library_path())
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures: dict[str, tuple[list[type], type | None]] = {
        "rd_kafka_conf_new": ([], pointer),
        "rd_kafka_conf_set": ([pointer, text, text, text, ctypes.c_size_t], number),
        "rd_kafka_new": ([number, pointer, text, ctypes.c_size_t], pointer),
        "rd_kafka_destroy": ([pointer], None),
        "rd_kafka_mock_cluster_new": ([pointer, number], pointer),
        "rd_kafka_mock_cluster_destroy": ([pointer], None),
        "rd_kafka_mock_cluster_bootstraps": ([pointer], text),
        "rd_kafka_mock_topic_create": ([pointer, text, number, number], number),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": ([pointer, ctypes.c_int32], None),
    }
    for name, (arguments, result) in signatures.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, result
    return library


def _library_path() -> str:
    package = Path(confluent_kafka.__file__).parent
    folders = (package.parent / "confluent_kafka.libs", package / ".dylibs")
    carried = [str(file) for folder in folders for file in sorted(folder.glob("librdkafka*"))]
    path = carried[0] if carried else ctypes.util.find_library("rdkafka")
    if path is None:
        raise NotReady(
            "the embedded broker needs librdkafka, which confluent-kafka's wheels carry: install it from PyPI"
        )
    return path

"""Measures, under an even load, the time from a record in one topic to the record with the same key in another."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Thread

import numpy as np
import numpy.typing as npt
from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from stream_scorer.adapters.kafka.client import ClientConfig, new_consumer, new_producer
from stream_scorer.errors import TransientError

_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds from handing a record to the client until its answer is read (read_committed); NaN without an answer."""

    seconds: npt.NDArray[np.float64]


class LatencyProbe:
    """Sends values, the n-th with the key `n`, and reads the answers, which have the same keys."""

    def __init__(self, config: ClientConfig, *, source: str, target: str) -> None:
        """Start reading at the end of `target`: earlier records are no answers."""
        self._producer = new_producer({**config, "linger.ms": 0})
        self._consumer: Consumer = new_consumer({**config, "group.id": f"latency-{target}", "fetch.wait.max.ms": 100})
        partitions = self._consumer.list_topics(target, timeout=_WAIT_S).topics[target].partitions
        self._consumer.assign([TopicPartition(target, number, OFFSET_END) for number in partitions])
        self._consumer.poll(1.0)
        self._source = source

    def until_answered(self, value: bytes) -> None:
        """Send a value again and again until an answer shows that the worker is up.

        Raises TransientError when there is none within 30 s.
        """
        deadline_s = time.monotonic() + _WAIT_S
        while time.monotonic() < deadline_s:
            self._producer.produce(self._source, value, b"warm-up")
            self._producer.flush(_WAIT_S)
            if any(message.error() is None for message in self._consumer.consume(100, 1.0)):
                return
        raise TransientError(f"no answer within {_WAIT_S:g} s")

    def measure(self, values: Sequence[bytes], *, rate: float) -> Latencies:
        """Send all values at an even rate, per second, and time the answers; give up after 30 s without any."""
        sent = np.full(len(values), np.nan)
        read = np.full(len(values), np.nan)
        sender = Thread(target=self._send, args=(values, rate, sent), daemon=True)
        sender.start()
        quiet_since_s = time.perf_counter()
        while np.isnan(read).any() or sender.is_alive():
            first = self._consumer.poll(0.2)
            now_s = time.perf_counter()
            for message in [] if first is None else [first, *self._consumer.consume(1_000, 0)]:
                if message.error() is None and (key := message.key()) != b"warm-up":
                    read[int(key or b"")] = now_s
                    quiet_since_s = now_s
            if now_s - quiet_since_s > _WAIT_S:
                break
        sender.join()
        return Latencies(read - sent)

    def _send(self, values: Sequence[bytes], rate: float, sent: npt.NDArray[np.float64]) -> None:
        started_s = time.perf_counter()
        for number, value in enumerate(values):
            # Times are planned from the start: a late record delays no other, so the rate stays as asked.
            if (early_s := started_s + number / rate - time.perf_counter()) > 0:
                time.sleep(early_s)
            sent[number] = time.perf_counter()
            self._producer.produce(self._source, value, str(number).encode())
            self._producer.poll(0)
        self._producer.flush(_WAIT_S)

    def close(self) -> None:
        """Close the probe's consumer."""
        self._consumer.close()

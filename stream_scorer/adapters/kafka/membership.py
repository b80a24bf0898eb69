"""What a consumer knows of its brokers, its topics and its group, and has no call for."""

import sys

import msgspec

from stream_scorer.core.records import Partition

_CONNECTED = {"UP", "REAUTH"}
_FORMAT = b"CGMDv2:"
_GENERATION_BYTES = 4


class _BrokerLink(msgspec.Struct):
    state: str


class _KnownTopic(msgspec.Struct):
    partitions: dict[int, msgspec.Raw]  # by number; -1 has what is not assigned to a partition yet


class _ClientStatistics(msgspec.Struct):
    brokers: dict[str, _BrokerLink]
    topics: dict[str, _KnownTopic] = {}


_decoder = msgspec.json.Decoder(_ClientStatistics)


def any_connected(statistics: str) -> bool:
    """Return whether, by the client's statistics (librdkafka's STATISTICS.md), a broker is connected now."""
    return any(link.state in _CONNECTED for link in _decoder.decode(statistics).brokers.values())


def known_partitions(statistics: str) -> set[Partition]:
    """Return the partitions, as of the client's latest look at them, of the topics that it reads or has asked about."""
    topics = _decoder.decode(statistics).topics
    return {Partition(name, number) for name, topic in topics.items() for number in topic.partitions if number >= 0}


def generation_of(metadata: object) -> int:
    """Return the generation (with the consumer protocol, the member's epoch) within a consumer's group metadata.

    It is negative before the group has answered for the first time. The client hands these bytes over for its producer
    to send; they begin with the name of their format (rdkafka_cgrp.c). Of another format nothing is known: 0.
    """
    if not isinstance(metadata, bytes) or not metadata.startswith(_FORMAT):
        return 0
    place = len(_FORMAT)
    return int.from_bytes(metadata[place : place + _GENERATION_BYTES], sys.byteorder, signed=True)

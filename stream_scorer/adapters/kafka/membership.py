"""What a consumer knows of its brokers and its group, and has no call for."""

import sys

import msgspec

_CONNECTED = {"UP", "REAUTH"}
_FORMAT = b"CGMDv2:"
_GENERATION_BYTES = 4


class _BrokerLink(msgspec.Struct):
    state: str


class _ClientStatistics(msgspec.Struct):
    brokers: dict[str, _BrokerLink]


_decoder = msgspec.json.Decoder(_ClientStatistics)


def any_connected(statistics: str) -> bool:
    """Return whether, by the client's statistics (librdkafka's STATISTICS.md), a broker is connected now."""
    return any(link.state in _CONNECTED for link in _decoder.decode(statistics).brokers.values())


def generation_of(metadata: object) -> int:
    """Return the generation (with the consumer protocol, the member's epoch) within a consumer's group metadata.

    It is negative before the group has answered for the first time. The client hands these bytes over for its producer
    to send; they begin with the name of their format (rdkafka_cgrp.c). Of another format nothing is known: 0.
    """
    if not isinstance(metadata, bytes) or not metadata.startswith(_FORMAT):
        return 0
    place = len(_FORMAT)
    return int.from_bytes(metadata[place : place + _GENERATION_BYTES], sys.byteorder, signed=True)

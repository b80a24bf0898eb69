"""The records that the bench makes."""

import json

import pytest

from stream_scorer.bench.kinds import ACCEPTANCES, KINDS, Load, records_of
from stream_scorer.core.wire.fast_decoding import read_acceptance, read_request


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read_at_once(kind: str) -> None:
    read = read_acceptance if kind == ACCEPTANCES else read_request
    assert None not in [read(value) for value in records_of(kind, 20)]


def test_kinds_differ_from_each_other() -> None:
    assert len({records_of(kind, 1)[0] for kind in KINDS}) == len(KINDS) == 16


def test_the_mix_has_every_kind_once() -> None:
    requests = Load(is_mixed=True).requests(14)
    assert [json.loads(request)["customer_id"] for request in requests] == [str(number) for number in range(14)]
    assert sum("filters" in json.loads(request) for request in requests) == 1


def test_a_fifth_of_the_mix_are_acceptances() -> None:
    requests, acceptances = Load(is_mixed=True).records(100)
    assert (len(requests), len(acceptances)) == (80, 20)
    asked = {json.loads(request)["request_id"] for request in requests}
    assert {json.loads(acceptance)["request_id"] for acceptance in acceptances} <= asked


def test_the_plain_load_has_requests_only() -> None:
    requests, acceptances = Load().records(100)
    assert (len(requests), len(acceptances)) == (100, 0)

"""The checker never crashes: whatever lies on the topics or in the files, it gives a verdict."""

from dataclasses import replace
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream_scorer.core.buffer.buffer_files import Chunk
from stream_scorer.core.records import OutputRecord, Record
from tests.verify_ring import CONFIG, START_MS, TOPICS, Ring, ring

__all__ = ["ring"]

NAMES = [TOPICS.requests, TOPICS.acceptances, TOPICS.rankings, TOPICS.outcomes, TOPICS.labels, TOPICS.dead_letters]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from([2**63, 2**64, -1, 0, "\0", "r1", "c", "o1", START_MS])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
# The ring before any change. Hypothesis uses the same ring for all examples, so each one restores it first.
KEPT: dict[int, dict[str, list[Record]]] = {}
FILES: dict[int, Chunk] = {}
NESTED = [b"[" * 3_000 + b"]" * 3_000, b'{"a":' * 3_000 + b"1" + b"}" * 3_000, b"[" * 100_000]
HEADERS = [
    "error.code",
    "source.topic",
    "source.partition",
    "source.offset",
    "value.truncated",
    "value.length",
    "value.sha256",
]


@st.composite
def changes(draw: st.DrawFn, value: dict[str, Any]) -> bytes:
    """Draw a damaged record: a few fields changed, dropped or added, or other bytes in its place."""
    if draw(st.integers(0, 4)) == 0:
        return draw(st.binary(max_size=40) | st.sampled_from([b"", b"{}", b"[]", b"null", *NESTED]))
    changed = dict(value)
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from([*value, "extra"]))
        if draw(st.booleans()):
            changed[name] = draw(VALUES)
        elif isinstance(changed.get(name), list) and changed[name] and isinstance(changed[name][0], dict):
            inner = draw(st.sampled_from(sorted({*changed[name][0], "extra"})))
            changed[name] = [{**changed[name][0], inner: draw(VALUES)}, *changed[name][1:]]
        else:
            changed.pop(name, None)
    raw = msgspec.json.encode(draw(st.just(changed)))
    return raw.replace(b'"features":{', b'"features":{"deep":' + draw(st.sampled_from([b"1,", NESTED[0] + b","])), 1)


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_topics_have_a_verdict(ring: Ring, data: st.DataObject) -> None:
    for name, records in KEPT.setdefault(id(ring), {name: list(ring.log(name)) for name in NAMES}).items():
        ring.log(name)[:] = records
    for _ in range(data.draw(st.integers(1, 4))):
        name = data.draw(st.sampled_from(NAMES))
        log = ring.log(name)
        at = data.draw(st.integers(0, len(log) - 1))
        try:
            value = msgspec.json.decode(log[at].value or b"")
        except (msgspec.DecodeError, RecursionError):
            value = {"request_id": "r1"}
        raw = data.draw(changes(value if isinstance(value, dict) else {}))
        headers = tuple(
            (header, data.draw(st.binary(max_size=6) | st.sampled_from([b"0", b"-1", b"9" * 30, b"rankings", b"a\0b"])))
            for header in data.draw(st.lists(st.sampled_from(HEADERS), max_size=7))
        )
        if data.draw(st.booleans()):
            log[at] = msgspec.structs.replace(log[at], value=raw, headers=headers or log[at].headers)
        else:
            ring.broker.append(
                OutputRecord(name, data.draw(st.none() | st.binary(max_size=3)), raw, headers, partition=0)
            )
    assert ring.verify(replace(CONFIG, examples_max=1)).records


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_files_have_a_verdict(ring: Ring, data: st.DataObject) -> None:
    assert ring.buffer is not None
    before = FILES.setdefault(id(ring), ring.buffer.chunks[0])
    row = data.draw(st.sampled_from(before.rows))
    texts, numbers = st.text(max_size=4), st.integers(-(10**20), 10**20)
    changed = row._replace(
        request_id=data.draw(texts),
        customer_id=data.draw(texts),
        revision=data.draw(numbers),
        rank=data.draw(st.none() | numbers),
    )
    ring.buffer.chunks[0] = replace(before, rows=[*before.rows, changed])
    assert ring.verify().rows == len(before.rows) + 1

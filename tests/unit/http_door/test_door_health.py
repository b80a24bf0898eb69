"""What the door's pages say, and what a shutdown that takes too long does."""

import asyncio
from typing import Any

from prometheus_client import CollectorRegistry

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.http_door.admission import Admission
from stream_scorer.http_door.door_metrics import DoorHealth, DoorMetrics


def states(health: DoorHealth) -> tuple[bool, bool, bool]:
    return health.startupz()[0], health.livez()[0], health.readyz()[0]


def test_a_door_is_ready_once_begun() -> None:
    health = DoorHealth(HandClock(0), stalled_after_s=1)
    assert states(health) == (False, True, False)
    health.begin(lambda: "")
    assert states(health) == (True, True, True)


def test_trouble_and_draining_end_readiness_alone() -> None:
    troubles = ["no broker is connected"]
    health = DoorHealth(HandClock(0), stalled_after_s=1)
    health.begin(lambda: "; ".join(troubles))
    assert health.readyz() == (False, "not ready: no broker is connected")
    assert health.livez() == (True, "live")
    troubles.clear()
    health.draining = True
    assert health.readyz() == (False, "not ready: draining")


def test_a_loop_that_stands_still_is_stalled() -> None:
    clock = HandClock(0)
    health = DoorHealth(clock, stalled_after_s=1)
    health.begin(str)
    clock.set(2_000)
    assert health.livez() == (False, "stalled: http")
    health.came_round()
    assert states(health) == (True, True, True)


def test_a_cancelled_request_leaves_no_traceback() -> None:
    async def cancelled(scope: Any, receive: Any, send: Any) -> None:
        raise asyncio.CancelledError

    async def nothing(*_: Any) -> Any:
        return None

    registry = CollectorRegistry()
    admission = Admission(cancelled, in_flight_max=1, metrics=DoorMetrics(registry), clock=HandClock(0))
    asyncio.run(admission({"type": "http", "path": "/rank"}, nothing, nothing))
    labels = {"path": "/rank", "status": "0"}
    assert registry.get_sample_value("stream_scorer_http_requests_total", labels) == 1

"""The join's costs are measured on tiny numbers: the figures mean nothing, but all are there."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import pytest

from stream_scorer.bench.join.costs import (
    HeldMemory,
    JoinCost,
    JoinPlan,
    JoinTime,
    RestoreTime,
    held_memory,
    join_time,
    restore_time,
    start_fresh,
)
from stream_scorer.bench.join.report import PROTOTYPE, join_data, join_page
from stream_scorer.bench.join.throughput import JoinThroughput
from stream_scorer.services.streaming.join_restore import Emit

EMITS: list[Emit] = ["at_once", "at_close"]
COST = JoinCost("at_once", JoinTime(1_000, 2_300, 1_100, 40.0), HeldMemory(500, 3_000), RestoreTime(500, 0.01, 0.002))
RESTORES: dict[Emit, RestoreTime] = {"at_once": RestoreTime(500, 0.02, 0.1)}
THROUGHPUT = JoinThroughput("at_once", "exactly_once", 1_000, 1_080, 55.5, 120)


def plan(emit: Emit) -> JoinPlan:
    return JoinPlan(emit, offers=20, batch=50, rankings=500, held=500)


@pytest.mark.parametrize(("emit", "labels"), [("at_once", 550), ("at_close", 500)])
def test_windows_close_as_fast_as_rankings_come(emit: Emit, labels: int) -> None:
    measured = join_time(plan(emit))
    assert (measured.rankings, measured.labels) == (500, labels)
    assert measured.processor_us_per_ranking > 0


@pytest.mark.parametrize("emit", EMITS)
def test_memory_is_measured_at_its_size(emit: Emit) -> None:
    # in a fresh process, as the benchmark does: this one may give memory back meanwhile
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), start_fresh) as fresh:
        measured = fresh.submit(held_memory, replace(plan(emit), held=5_000)).result(timeout=60)
    assert 5_000 <= measured.held < 5_050
    assert 100 < measured.bytes_per_held < 100_000


@pytest.mark.parametrize("emit", EMITS)
def test_all_that_was_held_is_restored(emit: Emit) -> None:
    measured = restore_time(plan(emit))
    assert measured.restored == 500
    assert 0 <= measured.longest_gap_s <= measured.seconds


def test_the_million_is_called_extrapolated() -> None:
    assert join_data({}, [THROUGHPUT], [COST], RESTORES)["join"][0]["restore"]["million_extrapolated_s"] == 20.0
    assert "at_once: a million to restore, extrapolated: 20.0 s" in join_page(
        {"cores": 2}, [THROUGHPUT], [COST], RESTORES
    )


def test_the_page_shows_each_figure() -> None:
    page = join_page({"cores": 2}, [THROUGHPUT], [COST], RESTORES)
    assert "at_once, exactly_once          1,000       1,080        55.5     120" in page
    assert "at_once: 500 restored from a broker in 0.0 s (a million: 40.0 s), longest gap 100 ms" in page
    assert "at_once                 40.0         500       3,000        0.01               2" in page


def test_figures_stand_beside_the_prototypes_as_ratios() -> None:
    told = join_data({}, [THROUGHPUT], [COST], RESTORES)
    assert told["prototype"] == PROTOTYPE
    assert told["to_prototype"]["processor_us_per_ranking"] == pytest.approx(55.5 / 58)
    assert "memory 2.07, time to restore 2.22, longest gap 0.21" in join_page(
        {"cores": 2}, [THROUGHPUT], [COST], RESTORES
    )


def test_only_like_figures_are_compared() -> None:
    others = [replace(THROUGHPUT, emit="at_close"), replace(THROUGHPUT, delivery="at_least_once")]
    assert (
        join_data({}, others, [replace(COST, emit="at_close")], {"at_close": RESTORES["at_once"]})["to_prototype"] == {}
    )

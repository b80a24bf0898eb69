"""Outcomes that wait, and where a restore begins."""

from time import process_time

from stream_scorer.core.joining.held_outcomes import STALE_MAX, HeldOutcomes, Reach


def held(*outcomes: tuple[str, int, int]) -> HeldOutcomes[int]:
    """Return outcomes that wait: (request, offset, time); an outcome here is its offset."""
    waiting: HeldOutcomes[int] = HeldOutcomes(lambda offset: offset)
    for request, offset, time_ms in outcomes:
        waiting.hold(request, offset, time_ms)
    return waiting


def test_a_request_takes_its_own_by_offset() -> None:
    waiting = held(("a", 3, 10), ("b", 4, 10), ("a", 5, 1))
    assert waiting.take("a") == [3, 5]
    assert (waiting.take("a"), len(waiting), list(waiting.values())) == ([], 1, [4])


def test_outcomes_are_settled_by_time_then_offset() -> None:
    waiting = held(("a", 1, 30), ("b", 2, 10), ("a", 3, 10))
    settled = []
    while (time_ms := waiting.next_ms()) is not None:
        settled.append((time_ms, waiting.next()))
        waiting.take_next()
    assert settled == [(10, 2), (10, 3), (30, 1)]
    assert len(waiting) == 0


def test_what_was_taken_is_not_settled() -> None:
    waiting = held(("a", 1, 10), ("b", 2, 20))
    waiting.take("a")
    assert (waiting.next_ms(), waiting.next()) == (20, 2)


def test_put_back_outcomes_keep_their_time() -> None:
    waiting = held(("a", 1, 10), ("a", 2, 20))
    for offset in waiting.take("a"):
        waiting.put_back("a", offset)
    assert (len(waiting), waiting.next_ms(), waiting.take_next()) == (2, 10, 1)


def test_the_oldest_go_first_by_offset() -> None:
    waiting = held(("a", 1, 90), ("b", 2, 10), ("a", 3, 50))
    assert waiting.take_oldest(2) == [1, 2]
    assert waiting.take_oldest(2) == [3]
    assert (waiting.take_oldest(2), waiting.next_ms()) == ([], None)


def test_unwanted_outcomes_are_dropped() -> None:
    waiting = held(("a", 1, 10), ("a", 2, 10), ("b", 3, 10))
    assert waiting.drop(lambda offset: offset != 2) == 2
    assert list(waiting.values()) == [2]


def test_taken_outcomes_leave_no_memory() -> None:
    waiting = held(("stays", 0, 10**9))
    for offset in range(1, 10 * STALE_MAX):
        waiting.hold(f"r{offset}", offset, 10**9 + offset)
        waiting.take(f"r{offset}")
    assert len(waiting._due) == len(waiting._oldest) <= STALE_MAX + 3
    assert waiting.take_next() == 0


def test_one_hot_request_costs_no_more() -> None:
    def settle_all(request: str) -> float:
        started_s = process_time()
        waiting = held(*[(request.format(offset), offset, offset) for offset in range(20_000)])
        while waiting.next_ms() is not None:
            waiting.take_next()
        return process_time() - started_s

    assert settle_all("hot") < 10 * settle_all("r{}") + 1.0  # quadratic would be some thousand times


def test_a_restore_begins_where_state_begins() -> None:
    reach = Reach()
    for offset, time_ms in [(5, 30), (6, 10), (8, 40), (7, 90)]:
        reach.note(offset, time_ms)
    assert reach.start(100) == 5
    reach.forget(30)
    assert reach.start(100) == 5
    reach.forget(31)
    assert reach.start(100) == 7
    reach.forget(91)
    assert reach.start(100) == 100

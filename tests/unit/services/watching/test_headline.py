"""The first sentence of the page."""

from stream_scorer.services.operating.doctor import Finding
from stream_scorer.services.watching.headline import headline
from stream_scorer.services.watching.ring_now import RingNow
from stream_scorer.services.watching.watched import Panel

WELL, WARNING, FAULT = (Finding(state, state, "says", "do") for state in ("ok", "warning", "fault"))
NOTHING: Panel[RingNow] = Panel(RingNow((), (), 0, 0), 1)


def test_a_well_ring_is_said_to_be() -> None:
    head = headline(Panel([WELL], 1), NOTHING, 1)
    assert (head.state, head.says, head.to_do, head.well) == ("ok", "The ring is well", (), (WELL,))


def test_faults_come_before_warnings() -> None:
    head = headline(Panel([WELL, WARNING, FAULT], 1), NOTHING, 1)
    assert (head.state, head.to_do) == ("fault", (FAULT, WARNING))
    assert head.says.endswith("1 fault")


def test_warnings_alone_are_counted() -> None:
    head = headline(Panel([WARNING, WARNING], 1), NOTHING, 1)
    assert (head.state, head.says) == ("warning", "The ring works, with 2 warnings")


def test_before_the_first_look_nothing_is_known() -> None:
    assert headline(Panel(), Panel(), 1).state == "unknown"


def test_without_its_pace_nothing_is_well() -> None:
    assert headline(Panel([WELL], 1), Panel(), 1).state == "unknown"
    assert headline(Panel([FAULT], 1), Panel(), 1).state == "fault"


def test_what_cannot_be_examined_is_a_fault() -> None:
    head = headline(Panel(None, 1, "no answer"), NOTHING, 1)
    assert (head.state, head.to_do[0].says) == ("fault", "no answer")


def test_unknown_lag_is_a_warning() -> None:
    assert headline(Panel([WELL], 1), Panel(None, 1, "no coordinator"), 1).state == "warning"


def test_what_is_old_makes_nothing_well() -> None:
    head = headline(Panel([WELL], 1), NOTHING, 60_001)
    assert head.state == "unknown"
    assert head.says.startswith("60 s ago: The ring is well. The next look has not ended")


def test_an_old_pace_makes_nothing_well() -> None:
    assert headline(Panel([WELL], 60_000), NOTHING, 60_001).state == "unknown"


def test_old_faults_stay_faults() -> None:
    head = headline(Panel([FAULT], 1), NOTHING, 60_001)
    assert (head.state, head.to_do) == ("fault", (FAULT,))

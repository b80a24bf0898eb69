"""The first sentence of the page: whether the ring is well, and what to do if it is not."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from stream_scorer.services.operating.doctor import Finding
from stream_scorer.services.watching.ring_now import RingNow, pace_findings
from stream_scorer.services.watching.watched import Panel

_WORST_FIRST = {"fault": 0, "warning": 1, "ok": 2}


@dataclass(frozen=True, slots=True)
class Headline:
    """The ring's state in a sentence, what there is to do, the worst first, and what is well."""

    state: Literal["ok", "warning", "fault", "unknown"]
    says: str
    to_do: tuple[Finding, ...] = ()
    well: tuple[Finding, ...] = ()


_UNKNOWN = Headline("unknown", "The ring is being examined; this page reads itself again in a moment")


def headline(examined: Panel[Sequence[Finding]], ring: Panel[RingNow], now_ms: int) -> Headline:
    """Return the state by what the doctor finds, and by what only several looks can show.

    What is old at `now_ms` never makes a ring well.
    """
    head = _judged(examined, ring)
    ages_s = [age_s for panel in (examined, ring) if (age_s := panel.old_s(now_ms)) is not None]
    return _aged(head, max(ages_s)) if ages_s else head


def _aged(head: Headline, age_s: float) -> Headline:
    says = f"{age_s:.0f} s ago: {head.says}. The next look has not ended: brokers or Redis are slow to answer"
    return replace(head, state="unknown" if head.state == "ok" else head.state, says=says)


def _judged(examined: Panel[Sequence[Finding]], ring: Panel[RingNow]) -> Headline:
    if examined.trouble:
        finding = Finding("doctor", "fault", examined.trouble, "stream-scorer doctor")
        return Headline("fault", "The ring could not be examined", (finding,))
    if examined.figures is None:
        return _UNKNOWN
    found = [*examined.figures, *(() if ring.figures is None else pace_findings(ring.figures))]
    if ring.trouble and not any(each.state == "fault" for each in found):
        found.append(Finding("lag", "warning", ring.trouble, "look at the brokers' logs"))
    head = _of(found)
    # the pace was not looked at yet: that nothing else is wrong does not make the ring well
    return _UNKNOWN if head.state == "ok" and not ring.read_ms else head


def _of(found: Iterable[Finding]) -> Headline:
    ordered = sorted(found, key=lambda one: _WORST_FIRST[one.state])
    to_do = tuple(each for each in ordered if each.state != "ok")
    well = tuple(each for each in ordered if each.state == "ok")
    faults = sum(each.state == "fault" for each in to_do)
    if faults:
        return Headline("fault", f"The ring is not well: {_counted(faults, 'fault')}", to_do, well)
    if to_do:
        return Headline("warning", f"The ring works, with {_counted(len(to_do), 'warning')}", to_do, well)
    return Headline("ok", "The ring is well", (), well)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

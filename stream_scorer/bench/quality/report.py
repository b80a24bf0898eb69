"""The figures of quality, as data and as a page for people."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from stream_scorer.bench.quality.measures import BIASED, BOTH, ODDS, OURS, Measured

Facts = Mapping[str, str | int | float]


def quality_data(facts: Facts, measured: Sequence[Measured]) -> dict[str, Any]:
    """Return all figures as JSON values."""
    return {"facts": dict(facts), "quality": [asdict(one) for one in measured], "missing": missing_references(measured)}


def quality_page(facts: Facts, measured: Sequence[Measured]) -> str:
    """Return a table for each world, with the world's own odds first: they are the best that can be expected."""
    lines = [", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items())]
    for world in dict.fromkeys(one.world for one in measured):
        rows = [one for one in measured if one.world == world]
        lines += ["", f"{world} ({rows[0].figure})", *(_line(one) for one in rows if not one.missing), *_stages(rows)]
    if missing := missing_references(measured):
        lines += ["", "missing references: " + "; ".join(f"{name}: {reason}" for name, reason in missing.items())]
    return "\n".join(lines)


def _stages(rows: Sequence[Measured]) -> list[str]:
    """Say what the second stage is for: what it recovers, and what it keeps where the log is biased by positions."""
    of = {one.by: one.value for one in rows if one.value is not None}
    if BOTH not in of:
        return []
    recovered = (of[BOTH] - of[OURS]) / max(of[ODDS] - of[OURS], 1e-9)
    kept = (of[BIASED] - 0.5) / max(of[BOTH] - 0.5, 1e-9)
    return [
        f"  two stages recover {recovered:.0%} of what towers alone lose to the odds",
        f"  learned from lists whose later places are seen less, they keep {kept:.0%} of the AUC above chance",
    ]


def missing_references(measured: Sequence[Measured]) -> dict[str, str]:
    """Return the references without figures, and why each has none."""
    return {one.by: one.missing for one in measured if one.missing}


def _line(one: Measured) -> str:
    new = "" if one.new is None else f"   new offers {one.new:.3f}"
    return f"  {one.by:<20} {one.value:.3f}{new}   {one.seconds:.1f} s"

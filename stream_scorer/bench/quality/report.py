"""The figures of quality, as data and as a page for people."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from stream_scorer.bench.quality.measures import Measured

Facts = Mapping[str, str | int | float]


def quality_data(facts: Facts, measured: Sequence[Measured]) -> dict[str, Any]:
    """Return all figures as JSON values."""
    return {"facts": dict(facts), "quality": [asdict(one) for one in measured], "missing": missing_references(measured)}


def quality_page(facts: Facts, measured: Sequence[Measured]) -> str:
    """Return a table for each world, with the world's own odds first: they are the best that can be expected."""
    lines = [", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items())]
    for world in dict.fromkeys(one.world for one in measured):
        rows = [one for one in measured if one.world == world]
        lines += ["", f"{world} ({rows[0].figure})", *(_line(one) for one in rows if not one.missing)]
    if missing := missing_references(measured):
        lines += ["", "missing references: " + "; ".join(f"{name}: {reason}" for name, reason in missing.items())]
    return "\n".join(lines)


def missing_references(measured: Sequence[Measured]) -> dict[str, str]:
    """Return the references without figures, and why each has none."""
    return {one.by: one.missing for one in measured if one.missing}


def _line(one: Measured) -> str:
    new = "" if one.new is None else f"   new offers {one.new:.3f}"
    return f"  {one.by:<20} {one.value:.3f}{new}   {one.seconds:.1f} s"

"""What each contender costs, as data and as a page for people."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from stream_scorer.bench.rivals.costs import Cost


def rivals_data(facts: Mapping[str, str | int], costs: Sequence[Cost]) -> dict[str, Any]:
    """Return all figures as JSON values; `ratio` is to the first, which is ours, exactly once."""
    ours = costs[0].processor_us_per_event
    rows = [{**asdict(cost), "ratio": cost.processor_us_per_event / ours} for cost in costs]
    return {"facts": dict(facts), "costs": rows}


def rivals_page(facts: Mapping[str, str | int], costs: Sequence[Cost]) -> str:
    """Return the figures as a page for people."""
    lines = [", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items()), ""]
    lines.append(f"{'':<28}{'delivery':<16}{'µs/event':>10}{'to ours':>9}{'MiB':>7}  same offers")
    lines += [
        f"{row['name']:<28}{row['delivery']:<16}{row['processor_us_per_event']:>10.1f}{row['ratio']:>9.2f}"
        f"{row['memory_mib']:>7.0f}  {row['agreeing']} of {row['compared']}"
        for row in rivals_data(facts, costs)["costs"]
    ]
    return "\n".join(lines)

"""Measures where a ranker's processor time goes, outside its pure function too."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stream_scorer.bench.measured_process import measured, start_bare
from stream_scorer.bench.rank.stage_clock import STAGES
from stream_scorer.bench.stand import Run, Stand
from stream_scorer.settings import Delivery

_IDLE_S = 1.0
_RUN_S_MAX = 180.0


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Processor time of each of STAGES, µs an event; what starting cost is in none, but for the client's threads."""

    delivery: Delivery
    us_per_event: dict[str, float]


def measure_stages(
    stand: Stand, deliveries: Sequence[Delivery], *, events: int, say: Callable[[str], None]
) -> list[StageTimes]:
    """Let a watched ranker work off a full topic, in each mode."""
    given = stand.full_topics(events)
    measured_stages = []
    for delivery in deliveries:
        say(f"stages of the ranker, {delivery}")
        measured_stages.append(_stages(stand.new_run("rank", delivery, given=given), events))
    return measured_stages


def _stages(run: Run, events: int) -> StageTimes:
    out = run.config.with_suffix(".stages")
    described = {
        "config": str(run.config),
        "delivery": run.delivery,
        "until_idle_s": _IDLE_S,
        "parent": os.getpid(),
        "out": str(out),
    }
    process = start_bare("stream_scorer.bench.rank.staged", [json.dumps(described)], log=run.config.with_suffix(".log"))
    measured(process, _RUN_S_MAX)
    spent_s = json.loads(out.read_text())
    return StageTimes(run.delivery, {stage: spent_s[stage] / events * 1e6 for stage in STAGES})


def stages_page(measured_stages: Sequence[StageTimes]) -> str:
    """Return a table, a stage a row."""
    lines = ["stage, µs an event".ljust(24) + "".join(f"{times.delivery:>16}" for times in measured_stages)]
    lines += [
        stage.ljust(24) + "".join(f"{times.us_per_event[stage]:>16.1f}" for times in measured_stages)
        for stage in STAGES
    ]
    return "\n".join(lines)

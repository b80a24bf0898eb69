"""The ranker as a process that measures its stages: `python -m stream_scorer.bench.rank.staged '{"config": …}'`."""

import json
import os
import sys
import time
from pathlib import Path

from stream_scorer.adapters.local.stopping import stop_signals
from stream_scorer.bench.rank.stage_clock import CLIENT, STAGES, StageClock


def watched() -> StageClock:
    """Return a clock that watches every stage; functions are watched where they are called."""
    from stream_scorer.adapters.kafka import sink
    from stream_scorer.adapters.kafka.source import KafkaSource
    from stream_scorer.core.ranking import pipeline
    from stream_scorer.core.towers.tower import Tower
    from stream_scorer.services.streaming import ranker
    from stream_scorer.services.streaming.aligned_source import AlignedSource
    from stream_scorer.services.streaming.loop import Loop

    clock = StageClock()
    places: list[tuple[object, str, str]] = [
        (KafkaSource, "fetch", "read"),
        (AlignedSource, "fetch", "align"),
        (pipeline, "decode_all", "decode"),
        (Tower, "embed", "embed"),
        (pipeline, "coverage_of", "count features"),
        (pipeline, "rank", "rank"),
        (pipeline, "encode_rankings", "encode"),
        (ranker, "rank_batch", "rest of the batch"),
        (sink._Outputs, "queue", "produce"),  # noqa: SLF001  no other function does nothing else
        (sink.TransactionalSink, "write", "commit"),
        (sink.AtLeastOnceSink, "write", "commit"),
        (Loop, "run", "loop and metrics"),
    ]
    for owner, name, stage in places:
        clock.watch(owner, name, stage)
    return clock


def main() -> None:
    """Run the ranker that the process's argument describes, and write the seconds of each stage where it says."""
    # as the command line does, before numpy is imported
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    described = json.loads(sys.argv[1])
    from stream_scorer.settings_sources import load_settings
    from stream_scorer.wiring.streaming import run_rank

    stopping = stop_signals(parent=described["parent"])
    settings = load_settings({"loop.delivery": described["delivery"]}, file=Path(described["config"])).settings
    clock = watched()
    run_rank(settings, stopping=stopping, until_idle_s=described["until_idle_s"])
    others_s = time.process_time() - time.thread_time()
    spent_s = {**{stage: clock.spent_s[stage] for stage in STAGES}, CLIENT: others_s}
    Path(described["out"]).write_text(json.dumps(spent_s))


if __name__ == "__main__":
    main()

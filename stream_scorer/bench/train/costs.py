"""Measures what the command `train` costs on rows of the simulated shop, beside a plain loop over the same rows."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from stream_scorer.adapters.files.model_files import read_model
from stream_scorer.adapters.local.clock import SystemClock
from stream_scorer.bench.measured_process import Usage, measured, start_bare
from stream_scorer.bench.train.simulated_labels import write_labels
from stream_scorer.simulation.world import World

CUSTOMERS, OFFERS, PLACES = 20_000, 500, 10
_FEWER = 10
_START_MS = 1_700_000_000_000
_RUN_S_MAX = 3_600.0
_MIB = 2**20

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TrainingCost:
    """One whole run of a training process: its start, the reading of the rows, and every epoch."""

    trainer: Literal["train", "plain"]
    rows: int
    epochs: int
    seconds: float
    processor_s: float
    memory_mib: float

    @property
    def rows_per_s(self) -> float:
        """Rows of the files, each counted once, per second of the whole run."""
        return self.rows / self.seconds

    @property
    def passes_us_per_row(self) -> float:
        """Processor time per row and epoch."""
        return self.processor_s / (self.rows * self.epochs) * 1e6


def measure_training(*, rows: int, say: Say) -> list[TrainingCost]:
    """Train on a tenth of the rows, on all, and with the plain loop on all.

    The growth of memory from the first to the second gives the memory that a row costs.
    """
    costs: list[TrainingCost] = []
    with tempfile.TemporaryDirectory(prefix="stream-scorer-bench-") as made:
        for name, count, options in (("fewer", max(rows // _FEWER, PLACES), ("--epochs", "1")), ("all", rows, ())):
            say(f"training on {count:,} rows")
            folder = Path(made) / name
            world = World.of(1, customers=CUSTOMERS, offers=OFFERS, popularity_rate=0.5)
            write_labels(world, np.random.default_rng(0), folder, rows=count, places=PLACES, start_ms=_START_MS)
            costs.append(_trained(folder, options))
        say(f"the plain loop on {rows:,} rows")
        costs.append(_plain(folder, costs[-1]))
    return costs


def _trained(folder: Path, options: Sequence[str]) -> TrainingCost:
    out = folder / "model"
    words = [
        "train",
        "--labels",
        str(folder / "labels"),
        "--offers",
        str(folder / "offers.jsonl"),
        "--out",
        str(out),
        *options,
    ]
    seconds, usage = _run("stream_scorer", words, folder / "log")
    facts: Any = read_model(out).facts
    return TrainingCost(
        "train", facts["rows"], facts["epochs"], seconds, usage.processor_s, usage.memory_max_bytes / _MIB
    )


def _plain(folder: Path, beside: TrainingCost) -> TrainingCost:
    batch_rows: Any = read_model(folder / "model").facts["options"]
    words = [str(folder / "labels"), str(beside.epochs), str(batch_rows["batch_rows"])]
    seconds, usage = _run("stream_scorer.bench.train.plain", words, folder / "log")
    return TrainingCost("plain", beside.rows, beside.epochs, seconds, usage.processor_s, usage.memory_max_bytes / _MIB)


def _run(module: str, words: Sequence[str], log: Path) -> tuple[float, Usage]:
    clock = SystemClock()
    start_s = clock.monotonic_s()
    usage = measured(start_bare(module, words, log=log), _RUN_S_MAX)
    return clock.monotonic_s() - start_s, usage


def bytes_per_row(costs: Sequence[TrainingCost]) -> float:
    """Return how many bytes of memory `train` needs for each additional row."""
    fewer, everything = (cost for cost in costs if cost.trainer == "train")
    return (everything.memory_mib - fewer.memory_mib) * _MIB / max(everything.rows - fewer.rows, 1)

"""Runs every contender over the same full topic, one after the other, round by round."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median

from stream_scorer.adapters.kafka.log import KafkaLog
from stream_scorer.adapters.local.own_command import without_settings
from stream_scorer.adapters.local.own_process import OwnProcess
from stream_scorer.bench import job
from stream_scorer.bench.measured_process import Usage, measured
from stream_scorer.bench.rivals.contenders import RIVALS, Guarantee, RivalProgram
from stream_scorer.bench.rivals.environments import interpreter_of
from stream_scorer.bench.rivals.job_folder import write_job
from stream_scorer.bench.stand import Run, Stand
from stream_scorer.core.records import Partition
from stream_scorer.errors import StreamScorerError
from stream_scorer.settings import Delivery

_LOOPS = Path(__file__).parent / "loops"
_IDLE_S = 1.0
_RIVAL_IDLE_S = 3.0  # some wait for deliveries between two batches
_RUN_S_MAX = 300.0
_WARM_UPS = 16
_COMPARED = 200

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Contender:
    """One who does the job: ours (`rival` None), or a rival with the Python that runs it."""

    name: str
    delivery: Guarantee
    rival: RivalProgram | None = None
    python: str = ""


@dataclass(frozen=True, slots=True)
class Cost:
    """The median over the rounds of the whole process's processor time, less starting and waiting; the most memory.

    `agreeing` is how many of `compared` rankings have our offers in our order.
    """

    name: str
    delivery: Guarantee
    processor_us_per_event: float
    memory_mib: float
    agreeing: int
    compared: int


@dataclass(slots=True)
class _RivalRuns:
    """What a contender used over next to nothing and in each round, and the offers of some of its last rankings."""

    idle: Usage
    usages: list[Usage] = field(default_factory=list)
    orders: dict[str, list[str]] = field(default_factory=dict)


def contenders(cache: Path, say: Say) -> list[Contender]:
    """Return all who can run here; an environment that cannot be made leaves its rival out, and that is said."""
    deliveries: tuple[Delivery, ...] = ("exactly_once", "at_least_once")
    all_ = [Contender("stream-scorer rank", delivery) for delivery in deliveries]
    for rival in RIVALS:
        try:
            all_.append(Contender(rival.name, rival.delivery, rival, interpreter_of(rival, cache)))
        except StreamScorerError as error:
            say(f"left out: {error}")
    return all_


def measure_rivals(stand: Stand, them: Sequence[Contender], *, events: int, rounds: int, say: Say) -> list[Cost]:
    """Run all of them over the same requests.

    Raises StreamScorerError for one that does not answer every request once, TransientError for one that fails.
    """
    write_job(stand.folder, stand.release)
    given = stand.full_topics(events)
    taken = {one: _RivalRuns(measured(_start(stand, one, _warm(stand)), _RUN_S_MAX)) for one in them}
    for number in range(rounds):
        for one in them:
            say(f"round {number + 1} of {rounds}: {one.name}, {one.delivery}")
            run = stand.new_run("rank", _delivery_of(one), given=given)
            taken[one].usages.append(measured(_start(stand, one, run), _RUN_S_MAX))
            taken[one].orders = _orders(run, one, events)
    return [_cost(one, taken[one], taken[them[0]].orders, events) for one in them]


def _warm(stand: Stand) -> Run:
    """Return a run over next to nothing, which measures what starting and waiting cost."""
    run = stand.new_run("rank", "at_least_once")
    stand.fill(run.settings.topics.requests, job.requests(_WARM_UPS))
    return run


def _delivery_of(one: Contender) -> Delivery:
    return "exactly_once" if one.delivery == "exactly_once" else "at_least_once"


def _start(stand: Stand, one: Contender, run: Run) -> OwnProcess:
    if one.rival is None:
        return stand.start(Run("rank", _delivery_of(one), run.settings, run.config), until_idle_s=_IDLE_S)
    settings = run.settings
    words = {
        "servers": settings.kafka.bootstrap_servers,
        "source": settings.topics.requests,
        "target": settings.topics.rankings,
        "group": f"rival-{run.config.stem}",
        "folder": str(stand.folder),
        "batch": settings.loop.batch_records_max,
        "exactly_once": one.delivery == "exactly_once",
        "idle_s": _RIVAL_IDLE_S,
    }
    command = [one.python, str(_LOOPS / one.rival.loop), json.dumps(words)]
    # a thread each for products, as our workers have: on few cores more are slower
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {**without_settings(), **threads}
    environment.pop("PYTHONPATH", None)
    return OwnProcess(command, log=run.config.with_suffix(".log"), environment=environment, cwd=stand.folder)


def _orders(run: Run, one: Contender, events: int) -> dict[str, list[str]]:
    """Return the offers of some rankings by request id, and check that there is one ranking for each request."""
    topics = run.settings.topics
    log = KafkaLog({**run.settings.kafka.client_config(), "group.id": "bench-reader"}, timeout_s=30)
    orders: dict[str, list[str]] = {}
    count = 0
    try:
        for number in range(topics.partitions):
            values = _values(log, Partition(topics.rankings, number))
            for value in islice(values, _COMPARED):
                ranking = json.loads(value)
                orders[ranking["request_id"]] = [offer["offer_id"] for offer in ranking["offers"]]
                count += 1
            count += sum(1 for _ in values)
    finally:
        log.close()
    if count != events:
        raise StreamScorerError(f"{one.name} ({one.delivery}) wrote {count} rankings for {events} requests")
    return orders


def _values(log: KafkaLog, partition: Partition) -> Iterator[bytes]:
    for batch in log.read(partition, 0, log.end(partition)):
        yield from (record.value or b"" for record in batch)


def _cost(one: Contender, taken: _RivalRuns, ours: dict[str, list[str]], events: int) -> Cost:
    processor_s = median(usage.processor_s for usage in taken.usages) - taken.idle.processor_s
    memory_mib = max(usage.memory_max_bytes for usage in taken.usages) / 2**20
    both = taken.orders.keys() & ours.keys()
    agreeing = sum(taken.orders[each] == ours[each] for each in both)
    return Cost(one.name, one.delivery, processor_s / events * 1e6, memory_mib, agreeing, len(both))

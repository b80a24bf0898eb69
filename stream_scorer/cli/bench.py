"""`stream-scorer bench`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_scorer.cli.options import Json, check_writable, one_of, refuse_all_but

if TYPE_CHECKING:
    from stream_scorer.settings import Delivery


_USES = {
    "rank": {"delivery", "offers", "events", "rounds", "rate", "seconds", "batch", "partitions", "mix"},
    "join": {"delivery", "offers", "events", "rounds", "batch", "partitions", "held"},
    "decode": set(),
    "index": {"largest", "plot"},
    "train": {"rows", "plot"},
    "quality": {"scale", "seed"},
    "rivals": {"offers", "events", "rounds", "batch", "partitions"},
}


def bench(
    ctx: typer.Context,
    *,
    what: Annotated[str, typer.Option(help="rank, decode, index, join, train, quality or rivals.")] = "rank",
    delivery: Annotated[
        str | None, typer.Option(show_default="both", help="exactly_once or at_least_once; see loop.delivery.")
    ] = None,
    offers: Annotated[int, typer.Option(min=1, max=1_000_000, help="Offers of the catalog.")] = 1_000,
    events: Annotated[
        int, typer.Option(min=1_000, max=5_000_000, help="Requests, or rankings to join, in a throughput run.")
    ] = 100_000,
    rounds: Annotated[
        int, typer.Option(min=1, max=20, help="Throughput runs of each kind; the median is reported.")
    ] = 3,
    rate: Annotated[float, typer.Option(min=1, max=100_000, help="Requests a second in a latency run.")] = 500,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="Seconds of a latency run.")] = 10,
    batch: Annotated[int, typer.Option(min=1, max=100_000, help="Records of a batch, at most.")] = 512,
    partitions: Annotated[int, typer.Option(min=1, max=1_000, help="Partitions of each topic.")] = 8,
    mix: Annotated[
        bool,
        typer.Option("--mix", help="With rank: records of all kinds (see --what decode), a fifth of them acceptances."),
    ] = False,
    held: Annotated[
        int,
        typer.Option(
            min=1_000, max=2_000_000, help="With join: open requests, and outcomes that wait for their ranking."
        ),
    ] = 200_000,
    rows: Annotated[int, typer.Option(min=1_000, max=100_000_000, help="With train: labelled rows.")] = 1_000_000,
    plot: Annotated[
        Path | None,
        typer.Option(
            show_default=False,
            help="With train: also measure the learning curve; with index: the crossover. Drawn to this PNG file.",
        ),
    ] = None,
    largest: Annotated[
        int, typer.Option(min=10_000, max=10_000_000, help="With index: offers of the largest catalog.")
    ] = 1_000_000,
    scale: Annotated[float, typer.Option(min=0.05, max=20, help="Size of quality's worlds, beside the usual one.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of quality's worlds.")] = 0,
    as_json: Json = False,
) -> None:
    """Measure a ranker beside a bare loop with records of equal size, a joiner, training, or how good its defaults are.

    It starts a Kafka and a Valkey of its own. `--what decode` takes seconds: what reading costs, one kind of record
    after the other. `--what index` takes minutes: exact ranking beside an index, to a million offers (extra
    `index`), and with `--largest 10000000` hours and some 8 GB.
    `--what quality` trains on six simulated worlds, beside what the worlds' own odds and other libraries reach (extra
    `quality`). `--what rivals` has other libraries do the ranker's job, in environments of their own that it makes with
    pip in the cache folder.
    """
    one_of("what", what, tuple(_USES))
    refuse_all_but(ctx, {"what", "as_json", *_USES[what]}, f"--what {what} measures something else")
    if what == "join":
        sizes = {
            "offers": offers,
            "events": events,
            "rounds": rounds,
            "batch": batch,
            "partitions": partitions,
            "held": held,
        }
        _bench_join(delivery, **sizes, as_json=as_json)
        return
    if what == "decode":
        _bench_decode(as_json=as_json)
        return
    if what == "index":
        check_writable(plot, "--plot")
        _bench_index(largest, plot, as_json=as_json)
        return
    if what == "quality":
        _bench_quality(scale, seed, as_json=as_json)
        return
    if what == "rivals":
        _bench_rivals(offers, batch, partitions, events=events, rounds=rounds, as_json=as_json)
        return
    check_writable(plot, "--plot")
    if what == "train":
        _bench_train(rows, plot, as_json=as_json)
        return
    import json

    from stream_scorer.bench.rank.measures import measure_latency, measure_throughput
    from stream_scorer.bench.rank.report import as_data, as_page, facts_of
    from stream_scorer.bench.rank.stages import measure_stages
    from stream_scorer.bench.stand import Stand

    deliveries = _deliveries(delivery)
    with Stand(offers=offers, batch=batch, partitions=partitions, mix=mix) as stand:
        throughput = measure_throughput(stand, deliveries, events=events, rounds=rounds, say=_say)
        stages = measure_stages(stand, deliveries, events=events, say=_say)
        latency = measure_latency(stand, deliveries, rate=rate, seconds=seconds, say=_say)
        facts = facts_of(stand, offers=offers, batch=batch, partitions=partitions, rounds=rounds)
    figures = facts, throughput, latency, stages
    print(json.dumps(as_data(*figures), indent=2) if as_json else as_page(*figures))


def _bench_decode(*, as_json: bool) -> None:
    import json

    from stream_scorer.bench.rank.decoding import decoding_data, decoding_page, measure_decoding
    from stream_scorer.bench.rank.report import machine_facts

    facts, costs = machine_facts(), measure_decoding()
    print(json.dumps(decoding_data(facts, costs), indent=2) if as_json else decoding_page(facts, costs))


def _bench_index(largest: int, plot: Path | None, *, as_json: bool) -> None:
    import json

    from stream_scorer.adapters.plots.crossover import Crossing, draw_crossover
    from stream_scorer.bench.rank.indexing import SIZES, index_data, index_page, measure_index
    from stream_scorer.bench.rank.report import machine_facts
    from stream_scorer.wiring.stores import index_tools

    cluster, open_index = index_tools()
    facts = machine_facts()
    costs = measure_index(cluster, open_index, sizes=[size for size in SIZES if size <= largest])
    if plot is not None:
        points = [Crossing(cost.offers, cost.eligible, cost.exact_us, cost.planned_us, cost.recall) for cost in costs]
        draw_crossover(points, plot)
    print(json.dumps(index_data(facts, costs), indent=2) if as_json else index_page(facts, costs))


def _bench_join(
    delivery: str | None,
    *,
    offers: int,
    events: int,
    rounds: int,
    batch: int,
    partitions: int,
    held: int,
    as_json: bool,
) -> None:
    import json

    from stream_scorer.bench.join.costs import measure_join
    from stream_scorer.bench.join.kafka_restore import measure_kafka_restore
    from stream_scorer.bench.join.report import join_data, join_facts, join_page
    from stream_scorer.bench.join.throughput import measure_join_throughput
    from stream_scorer.bench.stand import Stand

    deliveries = _deliveries(delivery)
    with Stand(offers=offers, batch=batch, partitions=partitions) as stand:
        throughput = measure_join_throughput(stand, deliveries, offers=offers, rankings=events, rounds=rounds, say=_say)
        restores = measure_kafka_restore(stand, offers=offers, batch=batch, held=held, say=_say)
    costs = measure_join(offers=offers, batch=batch, rankings=events, held=held, say=_say)
    facts = join_facts(offers=offers, batch=batch, partitions=partitions, rounds=rounds, costs=costs)
    told = facts, throughput, costs, restores
    print(json.dumps(join_data(*told), indent=2) if as_json else join_page(*told))


def _bench_train(rows: int, plot: Path | None, *, as_json: bool) -> None:
    import json

    from stream_scorer.adapters.plots.learning import draw_learning
    from stream_scorer.bench.train.costs import measure_training
    from stream_scorer.bench.train.learning import curves_of, learn
    from stream_scorer.bench.train.report import training_data, training_facts, training_page

    facts = training_facts()
    costs = measure_training(rows=rows, say=_say)
    points = [] if plot is None else learn(say=_say)
    if plot is not None:
        draw_learning([point.rows for point in points], curves_of(points), plot)
    print(json.dumps(training_data(facts, costs, points), indent=2) if as_json else training_page(facts, costs, points))


def _bench_quality(scale: float, seed: int, *, as_json: bool) -> None:
    import json

    from stream_scorer.bench.quality.measures import measure_quality
    from stream_scorer.bench.quality.report import quality_data, quality_page
    from stream_scorer.simulation.quality_worlds import WORLDS

    measured = measure_quality([make(seed, scale) for make in WORLDS], _say)
    facts = {"scale": scale, "seed": seed}
    print(json.dumps(quality_data(facts, measured), indent=2) if as_json else quality_page(facts, measured))


def _bench_rivals(offers: int, batch: int, partitions: int, *, events: int, rounds: int, as_json: bool) -> None:
    import json

    from stream_scorer.bench.rank.report import facts_of
    from stream_scorer.bench.rivals.costs import contenders, measure_rivals
    from stream_scorer.bench.rivals.report import rivals_data, rivals_page
    from stream_scorer.bench.stand import Stand
    from stream_scorer.settings import LocalSettings

    them = contenders(LocalSettings().cache, _say)
    with Stand(offers=offers, batch=batch, partitions=partitions) as stand:
        costs = measure_rivals(stand, them, events=events, rounds=rounds, say=_say)
        facts = facts_of(stand, offers=offers, batch=batch, partitions=partitions, rounds=rounds)
    print(json.dumps(rivals_data(facts, costs), indent=2) if as_json else rivals_page(facts, costs))


def _say(what: str) -> None:
    print(what, file=sys.stderr)


def _deliveries(delivery: str | None) -> "list[Delivery]":
    from typing import get_args

    from stream_scorer.settings import Delivery

    known = list(get_args(Delivery))
    return known if delivery is None else [one_of("delivery", delivery, known)]  # type: ignore[list-item]

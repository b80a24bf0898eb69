"""`stream-scorer bench`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from stream_scorer.cli.options import Delivery as DeliveryOption
from stream_scorer.cli.options import Json

if TYPE_CHECKING:
    from stream_scorer.settings import Delivery


def bench(
    *,
    delivery: DeliveryOption = None,
    offers: Annotated[int, typer.Option(min=1, max=1_000_000, help="Offers of the catalog.")] = 1_000,
    events: Annotated[int, typer.Option(min=1_000, max=5_000_000, help="Requests of a throughput run.")] = 100_000,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Throughput runs of each kind; their median counts.")] = 3,
    rate: Annotated[float, typer.Option(min=1, max=100_000, help="Requests a second of a latency run.")] = 500,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="Seconds of a latency run.")] = 10,
    batch: Annotated[int, typer.Option(min=1, max=100_000, help="Records of a batch, at most.")] = 512,
    partitions: Annotated[int, typer.Option(min=1, max=1_000, help="Partitions of each topic.")] = 8,
    as_json: Json = False,
) -> None:
    """Measure a ranker beside a bare consume-produce loop with the same record sizes, on a Kafka and a Valkey of its own."""
    import json

    from stream_scorer.bench.measures import measure_latency, measure_throughput
    from stream_scorer.bench.report import as_data, as_page, facts_of
    from stream_scorer.bench.stand import Stand

    deliveries = _deliveries(delivery)
    with Stand(offers=offers, batch=batch, partitions=partitions) as stand:
        throughput = measure_throughput(stand, deliveries, events=events, rounds=rounds, say=_say)
        latency = measure_latency(stand, deliveries, rate=rate, seconds=seconds, say=_say)
        facts = facts_of(stand, offers=offers, batch=batch, partitions=partitions, rounds=rounds)
    print(json.dumps(as_data(facts, throughput, latency), indent=2) if as_json else as_page(facts, throughput, latency))


def _say(what: str) -> None:
    print(what, file=sys.stderr)


def _deliveries(delivery: str | None) -> "list[Delivery]":
    from typing import get_args

    from stream_scorer.errors import UsageError
    from stream_scorer.settings import Delivery

    known = list(get_args(Delivery))
    if delivery is not None and delivery not in known:
        raise UsageError(f"--delivery must be one of {', '.join(known)}, got {delivery}")
    return known if delivery is None else [delivery]  # type: ignore[list-item]

"""`stream-scorer verify`."""

from typing import TYPE_CHECKING, Annotated

import typer

from stream_scorer.cli.options import BufferFolder, Delivery, Json, refuse_given, settings_of

if TYPE_CHECKING:
    from stream_scorer.core.joining.labelling import Horizons
    from stream_scorer.ports import TrainingBuffer
    from stream_scorer.services.verifying.reading import Readers
    from stream_scorer.services.verifying.verify import Report, VerifyConfig
    from stream_scorer.settings import Settings


def verify(
    ctx: typer.Context,
    *,
    folder: BufferFolder = None,
    topics_only: Annotated[bool, typer.Option("--topics-only", help="Do not check the training buffer.")] = False,
    delivery: Delivery = None,
    examples: Annotated[int, typer.Option(min=0, help="How many examples of each kind of fault to print.")] = 5,
    as_json: Json = False,
) -> None:
    """Check that nothing on the topics or in the training buffer is lost, doubled, torn or wrong.

    Exit 1 when something is. It changes nothing.
    """
    from stream_scorer.adapters.files.sqlite_sorter import SqliteSorter
    from stream_scorer.cli.progress import progress_over
    from stream_scorer.services.verifying.verify import verify as check
    from stream_scorer.wiring.stores import release_store
    from stream_scorer.wiring.streaming import joined_by

    if topics_only:
        refuse_given(ctx, {"folder"}, "--topics-only leaves the training buffer out")
    settings = settings_of(ctx, {"buffer.folder": folder, "loop.delivery": delivery})
    buffer = None if topics_only else _buffer(settings, named=folder is not None)
    horizons, differ = joined_by(settings)
    if differ:
        typer.echo(
            f"labels are judged by the settings that the joiners noted, not by these: {'; '.join(differ)} here",
            err=True,
        )
    config = _config(settings, horizons, examples)
    with progress_over("verified") as progress:
        report = check(
            _readers(settings), buffer, SqliteSorter, config, releases=release_store(settings), progress=progress
        )
    _tell(report, as_json)
    if not report.passed:
        raise typer.Exit(1)


def _config(settings: "Settings", horizons: "Horizons", examples: int) -> "VerifyConfig":
    from stream_scorer.adapters.kafka.admin import KafkaTopicAdmin
    from stream_scorer.errors import NotReady
    from stream_scorer.services.verifying.reading import VerifyTopics
    from stream_scorer.services.verifying.verify import VerifyConfig

    own = settings.topics
    topics = VerifyTopics(own.requests, own.acceptances, own.rankings, own.outcomes, own.labels, own.dead_letters)
    names = [own.requests, own.acceptances, own.rankings, own.outcomes, own.labels, own.dead_letters]
    states = KafkaTopicAdmin(settings.kafka.client_config()).describe([*names, own.offers])
    if missing := [name for name in names if name not in states]:
        raise NotReady(f"topics are missing: {', '.join(missing)}; stream-scorer topics creates them")
    return VerifyConfig(
        topics,
        {name: state.partitions for name, state in states.items()},
        horizons,
        exactly_once=settings.loop.delivery == "exactly_once",
        keep_prob=settings.buffer.keep_prob,
        examples_max=examples,
        offer_features=settings.rank.offer_features,
    )


def _readers(settings: "Settings") -> "Readers":
    from stream_scorer.adapters.kafka.log import KafkaLog
    from stream_scorer.services.verifying.reading import Readers
    from stream_scorer.wiring.brokers import log_reader, topic_forms

    timeout_s = 2 * settings.kafka.transaction_timeout_ms / 1000
    config = {**settings.kafka.client_config(), "group.id": settings.join.group}
    uncommitted = KafkaLog(config, timeout_s=timeout_s, isolation="read_uncommitted", forms=topic_forms(settings))
    rank, join, buffer = (
        log_reader(settings, group) for group in (settings.rank.group, settings.join.group, settings.buffer.group)
    )
    return Readers(rank, join, uncommitted, buffer)


def _buffer(settings: "Settings", *, named: bool) -> "TrainingBuffer | None":
    """Return the buffer. Raises UsageError where --folder names one that does not exist."""
    from stream_scorer.errors import UsageError
    from stream_scorer.wiring.labels import training_buffer

    buffer = training_buffer(settings.buffer.folder)
    if named and not buffer.exists():
        raise UsageError(f"no training buffer at {settings.buffer.folder}; --topics-only leaves it out")
    return buffer


def _tell(report: "Report", as_json: bool) -> None:
    import json
    from dataclasses import asdict

    if as_json:
        print(json.dumps({"passed": report.passed, **asdict(report)}, indent=2))
        return
    _tell_counts(report)
    _tell_health(report)
    for kind, count in {**report.faults, **report.tolerated}.items():
        print(f"\n{'tolerated' if kind in report.tolerated else 'FAULT'}  {kind}: {count:,}")
        for example in report.examples[kind]:
            print(f"  {example}")
    _tell_checks(report)
    print("\nnothing lost, nothing doubled" if report.passed else f"\n{sum(report.faults.values()):,} faults")


def _tell_checks(report: "Report") -> None:
    print("\nchecked:")
    for check in report.checks:
        print(f"  {check.checked:>12,}  {check.name}")
        for reason, count in check.not_checked.items():
            print(f"  {count:>12,}    not checked: {reason}")


def _tell_counts(report: "Report") -> None:
    print(f"{'topic':<24}{'records':>12}{'not settled':>14}{'aborted':>12}")
    for topic, count in report.records.items():
        print(f"{topic:<24}{count:>12,}{report.unsettled.get(topic, 0):>14,}{report.aborted.get(topic, 0):>12,}")
    if report.rows is not None:
        print(f"{'training buffer (rows)':<24}{report.rows:>12,}")
    for partition, (end, total) in report.buffered.items():
        print(f"{partition} buffered up to {end:,} of {total:,}")
    for code, count in report.dead_letters.items():
        print(f"dead letters, {code}: {count:,}")


def _tell_health(report: "Report") -> None:
    health = report.health
    if health.joined_share is not None:
        print(f"\nanswers joined: {health.joined_share:.2%}")
    if health.negatives_per_positive is not None:
        print(f"negatives per positive: {health.negatives_per_positive:.1f}")
    if health.delay_ms:
        print(
            "acceptance delay: " + ", ".join(f"{name} {value / 1000:,.1f} s" for name, value in health.delay_ms.items())
        )
    for release, rate in health.acceptance_rate.items():
        print(f"acceptance rate of {release}: {rate:.2%}")

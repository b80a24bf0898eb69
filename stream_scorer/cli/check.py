"""`stream-scorer check`."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_scorer.cli.options import AllowPrograms, Json, programs_flag, settings_of

if TYPE_CHECKING:
    from stream_scorer.core.messages import Offer
    from stream_scorer.errors import UsageError
    from stream_scorer.services.operating.checking import FileCheck

_ONE_FILE = "train, publish and score read {} from one file on this machine: write it there"


def check(
    ctx: typer.Context,
    *,
    offers: Annotated[
        str | None, typer.Option(show_default=False, help="The catalog: JSON lines, CSV or Parquet.")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            show_default=False, help="Labelled examples: such a file, a folder of them, or s3://bucket/prefix."
        ),
    ] = None,
    requests: Annotated[
        str | None, typer.Option(show_default=False, help="Requests: JSON lines, CSV or Parquet.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(show_default=False, help="A folder that train wrote, which the files are held to.")
    ] = None,
    allow_programs: AllowPrograms = False,
    as_json: Json = False,
) -> None:
    """Say what is understood of files, what is wrong with them, and what to type next.

    Exit 1 where training or serving would refuse them, or go wrong.
    """
    from stream_scorer.adapters.tables.places import heard
    from stream_scorer.cli.tower_sources import stored_model
    from stream_scorer.errors import UsageError
    from stream_scorer.services.operating.checking import FileCheck

    settings = settings_of(ctx, programs_flag(allow_programs))
    if offers is None and labels is None and requests is None:
        raise UsageError("check needs --offers, --labels or --requests, or several of them")
    made, found = None if model is None else stored_model(settings, model), FileCheck()
    for about, place in (("offers", offers), ("labels", labels), ("requests", requests)):
        if about == "requests" and made is not None:
            found.take_model(made)
        if place is not None:
            with heard(quiet=True) as said:
                _take(found, about, place)
            found.say(about, "caution", *said)
    _print(found, _next(found, offers, labels, requests, model), as_json=as_json)


def _take(found: "FileCheck", about: str, place: str) -> None:
    """Read a table. Raises UsageError for one that is not there; what is wrong inside is a finding."""
    from stream_scorer.adapters.files.example_places import tables_at
    from stream_scorer.adapters.local.clock import SystemClock
    from stream_scorer.wiring.labels import labels_at

    if about == "labels":
        with labels_at(place) as examples, _shown("labels"):
            found.take_labels(examples, examples.refusals())
        return
    with tables_at(place) as files, _shown(about):
        if "://" in place or len(files) > 1:
            found.say(about, "fault", _ONE_FILE.format(about))
        if about == "offers":
            found.take_offers(_offers(files), now_ms=SystemClock().now_ms())
        else:
            found.take_requests(_requests(files))


def _offers(files: list[Path]) -> "Iterator[Offer | UsageError]":
    from stream_scorer.adapters.files.offer_files import offers_or_refusals

    every = [offers_or_refusals(file) for file in files]
    return chain.from_iterable(every)


def _requests(files: list[Path]) -> "Iterator[tuple[int, bytes] | UsageError]":
    from stream_scorer.adapters.files.event_files import EventFile
    from stream_scorer.adapters.tables.layouts import REQUESTS

    every = [EventFile(file, layout=REQUESTS) for file in files]
    return chain.from_iterable(events.values_or_refusals() for events in every)


@contextmanager
def _shown(about: str) -> Iterator[None]:
    """Show that something goes on, where somebody watches."""
    from rich.console import Console

    with Console(stderr=True).status(f"reading {about}"):
        yield


def _next(
    found: "FileCheck", offers: str | None, labels: str | None, requests: str | None, model: Path | None
) -> list[str]:
    """Return the commands to type next."""
    given = {
        "--offers": offers,
        "--labels": labels,
        "--requests": requests,
        "--model": None if model is None else str(model),
    }
    if not found.is_good:
        return [_typed("check", given)]
    if offers is None:
        return [_typed("check", {**given, "--offers": "OFFERS"})]
    if model is not None:
        scored = {"--requests": requests or "REQUESTS", "--model": str(model), "--offers": offers}
        return [_typed("score", scored), _typed("publish", {"--model": str(model), "--offers": offers})]
    if labels is None:
        return [_typed("check", {**given, "--labels": "LABELS"})]
    return [_typed("train", {"--labels": labels, "--offers": offers, "--out": "model"})]


def _typed(command: str, options: Mapping[str, str | None]) -> str:
    words = [word for name, value in options.items() if value is not None for word in (name, value)]
    return shlex.join(["stream-scorer", command, *words])


def _print(found: "FileCheck", following: Sequence[str], *, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    if as_json:
        print(json.dumps({"good": found.is_good, "lines": [asdict(line) for line in found.lines], "next": following}))
    else:
        for line in found.lines:
            print(f"{line.state:<8} {line.about:<9} {line.says}")
        print("next:" if found.is_good else "mend the faults, then:", *(f"  {each}" for each in following), sep="\n")
    if not found.is_good:
        raise typer.Exit(1)

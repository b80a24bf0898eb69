"""`stream-scorer score`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from stream_scorer.cli.options import check_writable, settings_of

if TYPE_CHECKING:
    from stream_scorer.core.records import DeadLetter
    from stream_scorer.services.operating.loaded_release import LoadedRelease
    from stream_scorer.settings import Settings


def score(
    ctx: typer.Context,
    *,
    requests: Annotated[Path, typer.Option(help="The requests: JSON lines, CSV or Parquet.")],
    model: Annotated[Path | None, typer.Option(show_default=False, help="A model's folder; needs --offers.")] = None,
    offers: Annotated[
        Path | None, typer.Option(show_default=False, help="The catalog: JSON lines, CSV or Parquet.")
    ] = None,
    release: Annotated[
        str | None,
        typer.Option(show_default=False, help="In place of --model: a release in Redis by its id, or `current`."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(show_default=False, help="Write rankings here as JSON lines, not to stdout.")
    ] = None,
    dead_letters: Annotated[
        Path | None,
        typer.Option(
            show_default=False,
            help="Write refused requests here as JSON lines; otherwise stderr shows the first of each reason.",
        ),
    ] = None,
) -> None:
    """Rank a file of requests offline, byte for byte as the ranker does. Exit 1 when a request is refused."""
    from stream_scorer.adapters.files.event_files import EventFile
    from stream_scorer.adapters.tables.layouts import REQUESTS
    from stream_scorer.cli.progress import progress_of
    from stream_scorer.cli.refusals import Refusals
    from stream_scorer.core.features.coverage import FeatureCoverage, cautions_of

    settings = settings_of(ctx)
    check_writable(out, "--out")
    check_writable(dead_letters, "--dead-letters")
    events = EventFile(requests, layout=REQUESTS)
    loaded = _loaded(settings, model, offers, release)
    for sentence in loaded.cautions:
        print(f"caution: {sentence}", file=sys.stderr)
    ranked = refused = 0
    coverage = FeatureCoverage("customer", loaded.release.user_tower.spec.feature_names)
    refusals = Refusals()
    with (
        _writing(out, sys.stdout) as rankings,
        _writing(dead_letters, sys.stderr) as letters,
        progress_of("ranked", events.share) as say,
    ):
        for scored in loaded.rank_values(event.value for event in events):
            rankings.write(b"".join(ranking + b"\n" for ranking in scored.rankings))
            fresh = refusals.fresh(scored.dead_letters)
            letters.write(b"".join(map(_line, fresh if dead_letters is None else scored.dead_letters)))
            coverage = coverage.plus(scored.coverage)
            ranked, refused = ranked + len(scored.rankings), refused + len(scored.dead_letters)
            say(ranked)
    for sentence in cautions_of(coverage):
        print(f"caution: {sentence}", file=sys.stderr)
    for sentence in refusals.sentences() if dead_letters is None else ():
        print(sentence, file=sys.stderr)
    print(f"{ranked:,} ranked by {loaded.release_id}, {refused:,} refused", file=sys.stderr)
    if refused:
        raise typer.Exit(1)


def _loaded(settings: "Settings", model: Path | None, offers: Path | None, release: str | None) -> "LoadedRelease":
    from stream_scorer.errors import UsageError
    from stream_scorer.wiring.loading import release_of_model, stored_release

    if release is not None and model is None and offers is None:
        return stored_release(settings, release)
    if release is None and model is not None and offers is not None:
        return release_of_model(settings, model, offers)
    raise UsageError("score needs either --model DIR and --offers PATH, or --release ID (or --release current)")


@contextmanager
def _writing(path: Path | None, standard: IO[str]) -> Iterator[IO[bytes]]:
    """Open a file, or stdout or stderr. An OSError while writing names the place, as one from opening does."""
    name = "the output" if path is None else str(path)
    try:
        if path is None:
            yield standard.buffer  # type: ignore[attr-defined]
            standard.flush()
        else:
            with path.open("wb") as file:
                yield file
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, name) from error


def _line(letter: "DeadLetter") -> bytes:
    import json

    return (
        json.dumps({"request": letter.record.offset, "code": letter.code, "message": letter.message}).encode() + b"\n"
    )
